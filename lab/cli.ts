import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { Command } from 'commander';
import { domainOf } from '../components/settings/names';
import { apiAccess } from './apis';
import { enterCell, inCell, shellEnvironment } from './cells';
import { endLab, entry, fill, isReady, optionFor, saveLab, shutDown, startLab } from './lifecycle';
import { Machines } from './machines';
import { mailHostOf, readMailbox, sendFromRemote, submit, type Login } from './mail';
import { stopPackageProxy } from './packages';
import { proofs } from './proof';
import { received } from './remote/mailbox';
import { Stack } from './stack';
import { findLab, labNames, mustBeOurs, processes, say, type Lab } from './state';

function theLab(name: string): Lab {
  const lab = findLab(name);
  if (lab === undefined) throw new Error(`no lab "${name}" is up: ./lab/lab up --lab ${name}`);
  mustBeOurs(lab);
  return lab;
}

function status(lab: Lab) {
  const machines = new Machines(lab);
  return {
    name: lab.name,
    ready: isReady(lab),
    machines: machines.ids().map((id) => {
      const { name, ipv4, ipv6 } = machines.spec(id);
      return { id, name, ipv4, ipv6, running: machines.running(id) };
    }),
    processes: processes(lab).map(({ role, pid }) => ({ role, pid })),
  };
}

const program = new Command('lab')
  .enablePositionalOptions()
  .description('A cloud on this machine: machines, DNS, the internet, two cloud APIs');
const command = (words: string, description: string) =>
  program
    .command(words)
    .description(description)
    .option('--lab <name>', 'which lab', process.env.MAILHOST_LAB ?? 'dev');
interface LabOption {
  lab: string;
}
/** Of a command that talks to what is in the lab: it runs in there. */
const inside =
  <Arguments extends unknown[]>(action: (...args: Arguments) => Promise<void>) =>
  async (...args: Arguments): Promise<void> => {
    // Commander gives the options, and the command behind them.
    const { lab } = args.at(-2) as LabOption;
    if (inCell) await action(...args);
    else process.exitCode = enterCell(theLab(lab), [entry, ...process.argv.slice(2)]);
  };
const hidden = (name: string, action: (lab: Lab) => Promise<void>) =>
  new Command(name)
    .requiredOption('--lab <name>')
    .action((options: LabOption) => action(theLab(options.lab)));

command('up', 'start the lab; says what it does')
  .option('--from <name>', 'start a copy of a lab that was kept')
  .action(async (options: LabOption & { from?: string }) => {
    const { name } = await startLab(options.lab, options.from);
    say(`${name} is up: eval "$(./lab/lab env${optionFor(name)})" lets pulumi work in it`);
  });
command('down', 'end the lab and all that is in it').action(async (options: LabOption) => {
  const lab = findLab(options.lab);
  if (lab) {
    mustBeOurs(lab);
    await endLab(lab);
  }
  // A command that was killed may have left it.
  else await stopPackageProxy();
  say(`${options.lab} is ${lab ? 'gone' : 'not up'}`);
});
command('save <name>', 'shut the lab down and keep it: `up --from NAME` starts copies').action(
  async (name: string, options: LabOption) => {
    await saveLab(theLab(options.lab), name);
    say(`${options.lab} is kept: ./lab/lab up --from ${name} starts a copy of it`);
  },
);
// What the two above do in the lab's own namespaces.
program.addCommand(hidden('fill', fill), { hidden: true });
program.addCommand(hidden('shut-down', shutDown), { hidden: true });
command('enter [command...]', 'a root shell in the network of the lab, where its clients are')
  .passThroughOptions()
  .action((words: string[], options: LabOption) => {
    process.exitCode = enterCell(theLab(options.lab), words.length > 0 ? words : ['bash', '-l']);
  });
command('status', 'what runs')
  .option('--json', 'as JSON')
  .action((options: LabOption & { json?: boolean }) => {
    const labs = labNames().filter(
      (name) => name === options.lab || !process.argv.includes('--lab'),
    );
    const all = labs.flatMap((name) => findLab(name) ?? []).map(status);
    if (options.json) console.log(JSON.stringify(all, undefined, 2));
    else for (const lab of all) printStatus(lab);
  });
command('env', 'shell exports with which plain pulumi works in the lab').action(
  (options: LabOption) => {
    const lab = theLab(options.lab);
    for (const [key, value] of Object.entries(shellEnvironment(lab))) {
      console.log(`export ${key}='${value.replaceAll("'", "'\\''")}'`);
    }
  },
);
command('shell <machine> [command...]', 'a root shell in a machine, by name or id')
  .passThroughOptions()
  .action((machine: string, words: string[], options: LabOption) => {
    const lab = theLab(options.lab);
    const machines = new Machines(lab);
    const id = machines
      .ids()
      .find(
        (i) =>
          String(i) === machine || machines.spec(i).name.split('.')[0] === machine.split('.')[0],
      );
    if (id === undefined) throw new Error(`no machine "${machine}": ./lab/lab status lists them`);
    const [first, ...rest] = machines.command(id, words.length > 0 ? words : ['bash', '-l']);
    process.exitCode = spawnSync(first!, rest, { stdio: 'inherit' }).status ?? 1;
  });

command(
  'send <to>',
  'a message: by the remote system, or with --password by a mail client of the sender',
)
  .option('--from <address>', 'sender', 'erika@remote.example')
  .option('--subject <text>', 'subject', 'Hello')
  .option('--text <text>', 'body', 'Hello')
  .option('--password <password>', "the sender's: submit on 465 instead")
  .action(
    inside(
      async (
        to: string,
        options: LabOption & Record<'from' | 'subject' | 'text' | 'password', string>,
      ) => {
        const lab = theLab(options.lab);
        const { from, subject, text, password } = options;
        const message = { from, to, subject, text };
        console.log(
          password
            ? await submit(await loginOf(lab, from, password), 465, message)
            : await sendFromRemote(lab, message),
        );
      },
    ),
  );
command(
  'read <address>',
  'what an address received: at the remote system, or with --password over IMAPS',
)
  .option('--password <password>', "the account's")
  .option('--mailbox <name>', 'mailbox', 'INBOX')
  .action(
    inside(async (address: string, options: LabOption & { password?: string; mailbox: string }) => {
      const lab = theLab(options.lab);
      if (options.password === undefined) {
        for (const { spf, dkim, dmarc, raw, to } of received(lab.dir)) {
          if (!to.includes(address)) continue;
          const signatures = dkim.map(
            ({ result, domain, selector }) => `${result} (${selector} of ${domain})`,
          );
          console.log(
            `---- dkim=${signatures.join(', ') || 'none'} spf=${spf} dmarc=${dmarc}\n${raw}`,
          );
        }
        return;
      }
      const login = await loginOf(lab, address, options.password);
      for (const { headerLines, text } of await readMailbox(login, options.mailbox)) {
        console.log(`----\n${headerLines.map(({ line }) => line).join('\n')}\n\n${text ?? ''}`);
      }
    }),
  );
command(
  'registrar <zone>',
  'what a person does at the registrar: give the parent the DS record of the zone, once Cloudflare signs it',
).action(
  inside(async (zone: string, options: LabOption) => {
    const { CLOUDFLARE_BASE_URL: base, CLOUDFLARE_API_TOKEN: token } = apiAccess(
      theLab(options.lab),
    );
    const response = await fetch(new URL(`/registrar/${zone}`, base), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    const { ds, errors } = (await response.json()) as { ds: string; errors: { message: string }[] };
    if (!response.ok) throw new Error(errors[0]!.message);
    say(`${zone}. DS ${ds}`);
  }),
);
command('deploy', 'pulumi up of the stack dev, and a report of what was proven').action(
  inside(async (options: LabOption) => {
    const lab = theLab(options.lab);
    const stack = new Stack(lab);
    await stack.select();
    const { status: failed } = await stack.up((text) => process.stdout.write(text));
    if (failed !== 0) {
      process.exitCode = failed;
      return;
    }
    await report(lab, stack);
  }),
);
command('prove', 'show from outside that the mail host of the stack dev works').action(
  inside((options: LabOption) => {
    const lab = theLab(options.lab);
    return report(lab, new Stack(lab));
  }),
);

async function report(lab: Lab, stack: Stack): Promise<void> {
  console.log('\nProven from outside:');
  let failures = 0;
  for (const { title, run: prove } of proofs(lab, stack.outputs())) {
    try {
      console.log(`  ok      ${title}\n          ${await prove()}`);
    } catch (error) {
      failures++;
      console.log(
        `  FAILED  ${title}\n          ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  if (failures > 0) {
    process.exitCode = 1;
    return;
  }
  const other = optionFor(lab.name);
  console.log(`
Try next:
  eval "$(./lab/lab env${other})"                     plain pulumi works in this shell
  pulumi config set mailhost:spamTagLevel 4 && pulumi preview --diff --show-full-output
  pulumi config set mailhost:dkimGeneration 2 && pulumi up
  ./lab/lab send anna@example.org${other}             mail from the remote system
  ./lab/lab read anna@example.org --password anna-password${other}
  ./lab/lab shell${other} mail                        root on the mail host
  ./lab/lab down${other}                              end it all`);
}

async function loginOf(lab: Lab, user: string, password: string): Promise<Login> {
  return { host: await mailHostOf(lab, domainOf(user)), user, password };
}

function printStatus(lab: ReturnType<typeof status>): void {
  console.log(`${lab.name}  ${lab.ready ? 'up' : 'half there'}`);
  for (const machine of lab.machines) {
    console.log(
      `  machine ${machine.id} ${machine.name} ${machine.ipv4} ${machine.ipv6} ${machine.running ? 'running' : 'off'}`,
    );
  }
  for (const { role, pid } of lab.processes) console.log(`  process ${pid} ${role}`);
}

mkdirSync('/run/netns', { recursive: true });
program.parseAsync().catch((error: unknown) => {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
