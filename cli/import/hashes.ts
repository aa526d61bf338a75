/** A password of an account as this mail host takes it, or why it cannot be taken. */
export type Password = { hash: string } | { problem: string };

/** Schemes of Dovecot that are crypt(5) with a name before it, which both daemons here verify. */
const cryptSchemes = ['CRYPT', 'SHA512-CRYPT', 'SHA256-CRYPT', 'BLF-CRYPT'];

const cryptForm = /^\$(?:6|5|2[by]|g?y)\$/;

/** Crypt(5) forms that are too weak, by what they begin with. */
const weakForms: [RegExp, string][] = [
  [/^\$1\$/, 'MD5'],
  [/^\$2[ax]?\$/, 'an old form of bcrypt'],
  [/^\$argon2/, 'Argon2, which OpenSMTPD does not verify'],
  [/^[./0-9A-Za-z]{13}$/, 'DES'],
];

const remedy = 'give the account a new password, by `openssl passwd -6`';

/**
 * The password of an account of another host, which may have a scheme of Dovecot before it.
 *
 * @returns no password of it in any text
 * @example passwordOf('{SHA512-CRYPT}$6$salt$…') // { hash: '$6$salt$…' }
 */
export function passwordOf(field: string): Password {
  const [, scheme, text = ''] = /^(?:\{([^}]*)\})?(.*)$/s.exec(field) ?? [];
  const name = scheme?.toUpperCase();
  if (name === 'PLAIN' || name === 'CLEARTEXT')
    return { problem: `has its password in plain text: ${remedy}` };
  if (name !== undefined && !cryptSchemes.includes(name))
    return { problem: `has a password in the form {${name}}: ${remedy}` };
  if (cryptForm.test(text)) return { hash: text };
  if (/^[!*x]/.test(text) || text === '') return { problem: `has no password: ${remedy}` };
  const weak = weakForms.find(([form]) => form.test(text))?.[1];
  return { problem: `has a password in ${weak ?? 'an unknown form'}: ${remedy}` };
}
