import { z } from 'zod';
import { listed, type Found } from './found';

const user = z.object({ email: z.string(), password: z.string(), quota: z.string().default('0') });
const alias = z.object({ source: z.string(), destination: z.string() });

/**
 * Reads `users.sqlite` of Mail-in-a-Box. The aliases that it makes by itself are in a table of their own, which is left: the
 * role addresses of a domain go to the postmaster here.
 *
 * @see https://github.com/mail-in-a-box/mailinabox/blob/main/setup/mail-users.sh
 */
export function readMailInABox(path: string): Found {
  // Node warns where it is loaded, so that only who needs it sees that.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    // Versions before 68 have no quotas.
    const users = z.array(user).parse(database.prepare('SELECT * FROM users ORDER BY id').all());
    const aliases = z
      .array(alias)
      .parse(database.prepare('SELECT source, destination FROM aliases ORDER BY id').all());
    return {
      entries: users.map(({ email, password, quota }) => ({
        ...{ name: email, password },
        ...(quota === '0' ? {} : { quota }),
      })),
      aliases: aliases
        // One with permitted senders alone leads nowhere.
        .filter(({ destination }) => destination.trim() !== '')
        .map(({ source, destination }) => ({ name: source, recipients: listed(destination) })),
      problems: [],
    };
  } finally {
    database.close();
  }
}
