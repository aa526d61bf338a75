import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Machines, onHost } from '../../lab/machines';
import type { Lab } from '../../lab/state';

/** A configuration that a daemon cannot run with, though the host program is handed it all the same. */
export interface Broken {
  what: string;
  path: string;
  /** Put behind the text of the file, or in its place. */
  text: string;
  instead?: true;
  /** The host program's own, where it is not a daemon that refuses. */
  words?: RegExp;
}

/** As onHost(), for what may last: meanwhile others can tell that the run goes on. `input` may hold a key. */
export async function onHostAsync(lab: Lab, command: string, input = ''): Promise<string> {
  const machines = new Machines(lab);
  const [first, ...rest] = machines.command(machines.host(), ['sh', '-c', command]);
  const running = promisify(execFile)(first!, rest);
  // Where the command ends before it has read this, its own end tells why.
  running.child.stdin!.on('error', () => undefined).end(input);
  return (await running).stdout;
}

/** Hands a push what it got last, changed, as `pulumi up` would; the daemon's words are the error's. */
export function pushChanged(lab: Lab, push: string, changes: Omit<Broken, 'what'>[]) {
  const script = `
import glob, json, subprocess, sys
files = json.load(open(sorted(glob.glob("/var/lib/mailhost/history/${push}/*.json"))[-1]))
for change in json.loads(${JSON.stringify(JSON.stringify(changes))}):
    file = files.setdefault(change["path"], {"mode": "0644", "owner": "root:root", "text": ""})
    file["text"] = ("" if change.get("instead") else file["text"]) + change["text"]
done = subprocess.run(["mailhost", "activate", "${push}"], input=json.dumps(files), capture_output=True, text=True)
print(done.stdout + done.stderr)
sys.exit(done.returncode)
`;
  return onHostPython(lab, script);
}

export async function onHostPython(lab: Lab, script: string): Promise<string> {
  try {
    return await onHostAsync(lab, 'python3 - 2>&1', script);
  } catch (error) {
    throw new Error((error as { stdout: string }).stdout.trim(), { cause: error });
  }
}

/** All that was pushed, as it lies there, and the state of each daemon: what a push that fails must leave as it was. */
export const asItIs = (lab: Lab): string =>
  onHost(
    lab,
    `python3 -c 'import glob, json; print("\\n".join(sorted({p for m in glob.glob("/var/lib/mailhost/manifest/*.json") for p in json.load(open(m))})))' |
       while read path; do stat --format '%n %a %U:%G' "$path"; sha256sum "$path"; done
     find /etc /usr/local -name '*.mailhost-new'
     ls /var/lib/mailhost/backup
     nft --stateless list table inet mailhost
     systemctl is-active opensmtpd dovecot amavis spamd unbound nginx nftables ssh fail2ban`,
  );
