import { randomUUID } from 'node:crypto';
import { strict as assert } from 'node:assert';
import { sendFromRemote, submit, waitForMail, waitForReceived, type Login } from './mail';
import type { StackOutputs } from './stack';
import type { Lab } from './state';

/** Passwords of the lab's accounts: nothing to keep secret, they exist in the lab alone. */
export const passwords = {
  'anna@example.org': 'anna-password',
  'bert@example.net': 'bert-password',
};

/** SpamAssassin's own test line (GTUBE), in two parts so that this file is none. */
export const gtube = `XJS*C4JDBQADN1.NSBN3*2IDNEN*${'GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X'}`;
const erika = 'erika@remote.example';
const anna = 'anna@example.org';

export interface Proof {
  title: string;
  /** @returns what was seen */
  run: () => Promise<string>;
}

export function loginOf(stack: StackOutputs, user: keyof typeof passwords): Login {
  const { ipv4: host, caCertPem: ca, mailClient } = stack;
  return { host, ca, hostName: mailClient.incoming.host, user, password: passwords[user] };
}

/** What a mail host has to do, shown from outside. */
export function proofs(lab: Lab, stack: StackOutputs): Proof[] {
  const login = loginOf(stack, anna);
  const toRemote = async (port: 465 | 587) => {
    const subject = `proof ${port} ${randomUUID()}`;
    await submit(login, port, { from: anna, to: erika, subject, text: 'Signed?' });
    const message = await waitForReceived(lab, subject);
    const verdict = {
      dkim: message.dkim.map(({ result, domain }) => `${result} ${domain}`),
      spf: message.spf,
      dmarc: message.dmarc,
    };
    assert.deepEqual(verdict, { dkim: ['pass example.org'], spf: 'pass', dmarc: 'pass' });
    const missing = ['Date', 'Message-ID'].filter(
      (h) => !new RegExp(`^${h}: `, 'im').test(message.raw),
    );
    assert.deepEqual(missing, []);
    return `dkim=pass (${message.dkim[0]!.selector}) spf=pass dmarc=pass`;
  };
  return [
    {
      title: 'a message from the remote system, read over IMAPS',
      run: async () => {
        const subject = `proof in ${randomUUID()}`;
        await sendFromRemote(lab, { from: erika, to: anna, subject, text: 'Hello Anna' });
        const message = await waitForMail(login, subject);
        const status = message.headers.get('x-spam-status') as string;
        assert.match(status, /^No, score=.* tests=\[.+\]/s);
        return `X-Spam-Status: ${status.replace(/\s+/g, ' ')}`;
      },
    },
    {
      title: 'a message submitted on 587, received by the remote system',
      run: () => toRemote(587),
    },
    {
      title: 'a message submitted on 465, received by the remote system',
      run: () => toRemote(465),
    },
    {
      title: 'a spam probe (GTUBE), marked and filed into Junk',
      run: async () => {
        const subject = `proof spam ${randomUUID()}`;
        await sendFromRemote(lab, { from: erika, to: anna, subject, text: gtube });
        const message = await waitForMail(login, subject, 'Junk');
        assert.equal(message.headers.get('x-spam-flag'), 'YES');
        return 'X-Spam-Flag: YES';
      },
    },
    {
      title: 'a login with a wrong password, refused',
      run: () =>
        refused(
          submit({ ...login, password: 'wrong' }, 587, {
            from: anna,
            to: erika,
            subject: 'x',
            text: '',
          }),
          /535/,
        ),
    },
    {
      title: 'relaying for a stranger, refused',
      run: () => refused(relay(lab), /550/),
    },
  ];
}

/** To the mail host, for somebody at a third place. */
function relay(lab: Lab): Promise<string> {
  return sendFromRemote(lab, {
    from: erika,
    to: anna,
    envelopeTo: 'victim@elsewhere.example',
    subject: 'x',
    text: '',
  });
}

async function refused(attempt: Promise<string>, words: RegExp): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    const message = (error as Error).message;
    assert.match(message, words);
    return message.split('\n')[0]!;
  }
  throw new Error('it was taken');
}
