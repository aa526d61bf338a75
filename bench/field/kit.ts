import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { addresses } from '../../lab/network';
import { run, type Lab } from '../../lab/state';
import type { Finished } from './finished';

/** What is changed of the one line. */
const limit = /--messages-per-hour (\d+)/;

/** What the tools are told, in a file. */
interface Vars {
  address: string;
  host_name: string;
  packages: string[];
  /** Of /etc/resolv.conf. */
  resolvers: string[];
  files: Record<string, { path: string; mode: string; owner: string; group: string }[]>;
  /** Block device; differs from one machine to the next. */
  volume: string;
  messages_per_hour: number;
}

/**
 * What the other tools work with, in a folder of the lab, as their users would have written it down: `vars.json` with
 * names, numbers and lists, below `templates/` the files as Jinja templates, and `rendered/` as they will lie on the host.
 */
export class Kit {
  readonly dir: string;
  readonly key: string;
  readonly knownHosts: string;
  readonly vars: Vars;

  constructor(
    lab: Lab,
    readonly finished: Finished,
  ) {
    this.dir = join(lab.dir, 'field');
    this.key = join(this.dir, 'key');
    this.knownHosts = join(this.dir, 'known_hosts');
    rmSync(this.dir, { recursive: true, force: true });
    mkdirSync(this.dir, { mode: 0o700 });
    writeFileSync(this.key, finished.sshPrivateKey, { mode: 0o600 });
    writeFileSync(this.knownHosts, `${finished.ipv4} ${finished.hostPublicKey.trim()}\n`);
    for (const group of Object.values(finished.files)) {
      for (const [path, { mode, text }] of Object.entries(group)) {
        this.put('templates', path, template(text), mode);
        this.put('rendered', path, text, mode);
      }
    }
    const { program, system } = finished.files;
    run('tar', ['-czf', join(this.dir, 'program.tgz'), ...this.archived(Object.keys(program!))]);
    this.vars = {
      address: finished.ipv4,
      host_name: finished.hostName,
      packages: lines(system!['/etc/mailhost/packages']!.text),
      resolvers: ['127.0.0.1', addresses.resolver.v4],
      files: Object.fromEntries(
        Object.entries(finished.files).map(([group, files]) => [
          group,
          Object.entries(files).map(([path, { mode, owner }]) => {
            const [user, ofGroup] = owner.split(':');
            return { path, mode, owner: user!, group: ofGroup! };
          }),
        ]),
      ),
      volume: '',
      messages_per_hour: 0,
    };
  }

  /** Writes down what differs from one machine, or one change, to the next. */
  set(values: Partial<Vars>): void {
    Object.assign(this.vars, values);
    writeFileSync(join(this.dir, 'vars.json'), JSON.stringify(this.vars, undefined, 1));
  }

  /** What our stack has where the others have a variable. */
  get messagesPerHour(): number {
    return Number(limit.exec(this.finished.files.opensmtpd!['/etc/smtpd.conf']!.text)![1]);
  }

  get sshOptions(): string[] {
    return ['-i', this.key, '-o', `UserKnownHostsFile=${this.knownHosts}`];
  }

  /** All files of the host but those of root:root, as `path owner`. */
  owners(): string[] {
    return Object.values(this.finished.files)
      .flatMap((group) => Object.entries(group))
      .filter(([, { owner }]) => owner !== 'root:root')
      .map(([path, { owner }]) => `${owner} ${path}`);
  }

  /** All files of the host as one archive, in base64. */
  archive(): string {
    const paths = Object.values(this.finished.files).flatMap((group) => Object.keys(group));
    run('tar', ['-czf', join(this.dir, 'all.tgz'), ...this.archived(paths)]);
    return run('base64', [join(this.dir, 'all.tgz')]);
  }

  private archived(paths: string[]): string[] {
    return [
      '--owner=root:0',
      '--group=root:0',
      `--directory=${join(this.dir, 'rendered')}`,
      ...paths.map((path) => path.slice(1)),
    ];
  }

  private put(folder: string, path: string, text: string, mode: string): void {
    const target = join(this.dir, folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text, { mode: parseInt(mode, 8) });
  }
}

const lines = (text: string) => text.trim().split('\n');

/** The text as a Jinja template that gives it again, with the one value that changes as a variable. */
function template(text: string): string {
  const raw = /\{[{%#]/.test(text) ? `{% raw %}${text}{% endraw %}` : text;
  return raw.replace(limit, '--messages-per-hour {{ messages_per_hour }}');
}
