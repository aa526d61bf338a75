import { createHash, X509Certificate } from 'node:crypto';
import { chownSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountOverlay, oldHostImage } from './images';
import { createLink } from './network';
import { selfSigned } from './selfSigned';
import { run, startUntil, type Lab } from './state';

const address = '10.88.0.249';
const user = 1000;

/** A message as it lies in a Maildir. */
export interface OldMessage {
  text: string | Buffer;
  /** Letters of a Maildir: `S` seen, `F` flagged, `R` replied, `T` deleted, `D` draft, `a` the first keyword. */
  flags?: string;
  /** Seconds since 1970. */
  arrived: number;
}

/** A mail host of another kind, from which a mailbox is copied: Dovecot 2.3 of Debian 12, with Maildir++ and names below INBOX. */
export class OldHost {
  private readonly root: string;
  private readonly pair = selfSigned('old.example');
  private pid = 0;
  readonly address = address;
  /** Of its certificate, which nobody else has signed. */
  readonly fingerprint = createHash('sha256')
    .update(new X509Certificate(this.pair.cert).raw)
    .digest('hex');

  /** @param passwords by user */
  constructor(
    private readonly lab: Lab,
    passwords: Record<string, string>,
    master: { user: string; password: string },
  ) {
    this.root = mountOverlay(oldHostImage(), join(lab.dir, 'old-host'));
    run('mount', ['--bind', '--make-private', '/dev', join(this.root, 'dev')]);
    run('mount', ['-t', 'proc', 'lab', join(this.root, 'proc')]);
    createLink('old', address, undefined);
    const put = (name: string, text: string) =>
      writeFileSync(join(this.root, 'etc/dovecot', name), text, { mode: 0o600 });
    const list = (all: Record<string, string>) =>
      Object.entries(all)
        .map(([name, password]) => `${name}:{PLAIN}${password}\n`)
        .join('');
    put('dovecot.conf', configuration);
    put('users', list(passwords));
    put('masters', list({ [master.user]: master.password }));
    put('cert.pem', this.pair.cert);
    put('key.pem', this.pair.key);
    run('chroot', [this.root, 'chown', 'dovecot', '/etc/dovecot/users', '/etc/dovecot/masters']);
    mkdirSync(join(this.root, 'srv/mail'));
    chownSync(join(this.root, 'srv/mail'), user, user);
  }

  async start(): Promise<void> {
    this.pid = await startUntil(
      this.lab,
      'old-host',
      'ip',
      ['netns', 'exec', 'old', 'chroot', this.root, 'dovecot', '-F'],
      () => this.listens(),
    );
  }

  private listens(): boolean {
    return run('ip', ['netns', 'exec', 'old', 'ss', '-ltnH']).includes(':993 ');
  }

  stop(): void {
    process.kill(this.pid, 'SIGTERM');
  }

  /**
   * Puts messages into a folder that is made for them.
   *
   * @param folder as Maildir++ has it on the disk, e.g. `.Projekte.2024`; empty: the inbox
   */
  fill(name: string, folder: string, messages: OldMessage[], keywords: string[] = []): void {
    const dir = join(this.root, 'srv/mail', name, folder);
    for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(dir, part), { recursive: true });
    messages.forEach(({ text, flags = '', arrived }, at) => {
      const file = join(dir, 'cur', `${arrived}.M${at}P1.old:2,${flags}`);
      writeFileSync(file, text);
      utimesSync(file, arrived, arrived);
    });
    if (keywords.length > 0)
      writeFileSync(
        join(dir, 'dovecot-keywords'),
        keywords.map((word, at) => `${at} ${word}\n`).join(''),
      );
    if (folder !== '') writeFileSync(join(dir, 'maildirfolder'), '');
    run('chown', ['-R', `${user}:${user}`, join(this.root, 'srv/mail', name)]);
  }

  /** @param folders as mail clients name them, in modified UTF-7 */
  subscribe(name: string, folders: string[]): void {
    const file = join(this.root, 'srv/mail', name, 'subscriptions');
    writeFileSync(file, folders.map((folder) => `${folder}\n`).join(''));
    chownSync(file, user, user);
  }
}

const configuration = `
protocols = imap
log_path = /dev/stderr
disable_plaintext_auth = yes
ssl = required
ssl_cert = </etc/dovecot/cert.pem
ssl_key = </etc/dovecot/key.pem
mail_location = maildir:~
auth_master_user_separator = *
passdb {
  driver = passwd-file
  args = /etc/dovecot/masters
  master = yes
  pass = yes
}
passdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
userdb {
  driver = static
  args = uid=${user} gid=${user} home=/srv/mail/%u
}
namespace inbox {
  inbox = yes
  separator = .
  prefix = INBOX.
  mailbox Gesendet {
    special_use = \\Sent
  }
}
service imap-login {
  inet_listener imap {
    port = 143
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
}
`;
