export type Severity = 'warning' | 'problem';

interface Entry {
  severity: Severity;
  what: string;
  /** What to do first. The section in docs/runbook.md has the rest. */
  remedy: string;
}

const problem = (what: string, remedy: string): Entry => ({ severity: 'problem', what, remedy });
const warning = (what: string, remedy: string): Entry => ({ severity: 'warning', what, remedy });

/** As any mail system and client sees them. */
const outside = {
  'zone-not-delegated': problem(
    'The zone is not delegated, so none of its names exists for others.',
    'Set the name servers at the registrar, and check that the registration has not expired.',
  ),
  'name-server-silent': problem(
    'A name server of the zone does not answer for it.',
    'Correct the name servers at the registrar, or wait until the DNS provider has repaired it.',
  ),
  'name-servers-differ': warning(
    'The parent zone names other name servers than the zone itself.',
    'Set the same name servers at the registrar and in the zone.',
  ),
  'record-missing': problem(
    'A record of the plan is not published.',
    'Run `pulumi up --refresh`; with `dns: manual`, publish the record.',
  ),
  'record-differs': problem(
    'A record has another value than the plan.',
    'Run `pulumi up --refresh`; with `dns: manual`, correct the record.',
  ),
  'record-unplanned': problem(
    'A record that is not in the plan contradicts one that is.',
    'Delete the record at the DNS provider.',
  ),
  'dnssec-ds-missing': warning(
    'The zone is signed, and its parent does not vouch for it: DNSSEC and TLSA records have no effect.',
    'Set the DS record of the stack output dsRecords at the registrar.',
  ),
  'dnssec-ds-wrong': problem(
    'The DS record in the parent zone matches no key of the zone: validating resolvers reject every answer.',
    'Replace the DS record at the registrar by that of the stack output dsRecords, or delete it.',
  ),
  'dnssec-signature': problem(
    'The signatures of the zone are missing or have expired: validating resolvers reject every answer.',
    'Contact the DNS provider; delete the DS record at the registrar until it is repaired.',
  ),
  'dnssec-bogus': problem(
    'A validating resolver rejects the zone.',
    'Compare the chain of trust from the root; delete the DS record at the registrar if it cannot be repaired soon.',
  ),
  'ptr-wrong': problem(
    'The reverse DNS of an address does not name the host: many mail systems refuse its mail.',
    'Run `pulumi up --refresh`; on a machine of your own, set the PTR record at its provider.',
  ),
  'helo-wrong': problem(
    'The mail server introduces itself with another name than its host name.',
    'Set drift to mend, and run `pulumi up`.',
  ),
  'address-listed': problem(
    'An address of the host is on a DNS list: many mail systems refuse its mail.',
    'Find the cause, stop it, and only then request removal at the list.',
  ),
  'port-closed': problem(
    'A port of the plan cannot be reached.',
    'Check the service on the host, its firewall and the firewall of the provider.',
  ),
  'greeting-wrong': problem(
    'A service does not answer as its protocol requires.',
    'Read the journal of the service on the host.',
  ),
  'starttls-missing': problem(
    'A service does not offer STARTTLS.',
    'Check the certificate on the host, set drift to mend, and run `pulumi up`.',
  ),
  'certificate-untrusted': problem(
    'Clients do not trust the certificate.',
    'Serve a certificate of a public CA with its whole chain, or have clients trust the CA of the stack.',
  ),
  'certificate-name': problem(
    'The certificate is for another name.',
    'Run `mailhost renew` on the host, or provide a certificate for the name.',
  ),
  'certificate-expired': problem(
    'The certificate has expired.',
    'Run `mailhost renew` on the host, or provide a new certificate.',
  ),
  'certificate-ending': warning(
    'The certificate expires soon, and has not been renewed.',
    'Check why it was not renewed: `journalctl --unit mailhost-renew` on the host.',
  ),
  'tlsa-mismatch': problem(
    'No TLSA record matches the certificate: mail systems that use DANE hold mail back.',
    'Publish the TLSA records of the plan with `pulumi up --refresh`, or serve the key that they name.',
  ),
  'open-relay': problem(
    'The host relays mail for strangers, and will be abused and listed within hours.',
    'Close port 25 at the firewall now. Then set drift to mend, and run `pulumi up`.',
  ),
  'spf-invalid': problem(
    'The SPF record cannot be evaluated: receivers reject or distrust mail of the domain.',
    'Remove mechanisms from spf of the domain until it takes at most 10 look-ups.',
  ),
  'dmarc-reports': warning(
    'The domain of the report address does not consent to DMARC reports, so none is sent there.',
    'Publish the record in the zone of the report address.',
  ),
  'mta-sts-policy': problem(
    'The MTA-STS policy cannot be fetched, or is not the announced one: mail systems that have an old one may hold mail back.',
    'Check the web server on the host, and run `pulumi up --refresh`.',
  ),
  autoconfig: warning(
    'Mail clients cannot fetch their settings.',
    'Read the journal of nginx on the host.',
  ),
  'ssh-failed': problem(
    'The host cannot be reached over SSH, so it was not checked from inside.',
    'Run this from an address in adminNetworks; check that the host runs.',
  ),
} satisfies Record<string, Entry>;

/** As the host program names them, in components/hostDocuments.schema.json. */
const inside = {
  'service-stopped': problem(
    'A service of the host does not run, or would not start at boot.',
    'Read its journal, remove the cause, and start it.',
  ),
  'resolver-broken': problem(
    'The resolver of the host does not validate answers: mail is deferred or less spam is found.',
    'Read the journal of unbound, and restart it.',
  ),
  'listener-wrong': problem(
    'Ports of the host are not open as planned.',
    'Find the program with `ss --listening --tcp --processes`.',
  ),
  'certificate-not-served': problem(
    'A service serves another certificate than the host has.',
    'Restart the service: `mailhost restart NAME`.',
  ),
  'web-page': problem('A page of the web server is missing.', 'Read the journal of nginx.'),
  'mail-not-delivered': problem(
    'A test message was not delivered on the host in time.',
    'Find where it waits: `smtpctl show queue`.',
  ),
  'spam-not-marked': problem(
    'A test message that every spam filter must mark came through unmarked.',
    'Read the journal of amavis and spamd.',
  ),
  'mail-not-signed': problem(
    'Outgoing mail is not signed, or with another key than the published one.',
    'Set drift to mend, and run `pulumi up`.',
  ),
  'dkim-unpublished': warning(
    'A domain sends without a DKIM signature, because its record is not visible.',
    'Publish the record; the host signs within ten minutes after that.',
  ),
  'queue-own': problem(
    'Messages wait for a daemon of this host or for the smarthost.',
    'Read the journal of that daemon.',
  ),
  'queue-blocked': problem(
    'Messages wait because no connection to other mail systems succeeds.',
    'Ask the provider of the server to open outbound port 25.',
  ),
  'queue-listed': problem(
    'A receiver refuses mail because the host or domain is listed.',
    'Find the cause, stop it, and request removal at the list that the answer names.',
  ),
  'queue-throttled': warning(
    'A receiver accepts mail of this host only slowly.',
    'Wait; if it lasts for days, check what is sent and the reports of the receiver.',
  ),
  'queue-waiting': warning(
    'Messages to a receiver have waited for more than 4 hours.',
    'Read the answer of the receiver; it may be down.',
  ),
  'queue-damaged': problem(
    'OpenSMTPD keeps messages aside that it cannot process.',
    'Read the files, and send their messages again.',
  ),
  'mail-paused': warning('An operator has paused mail.', 'Resume it once the reason is gone.'),
  'unit-failed': warning('A unit of the host failed.', 'Read its journal.'),
  'disk-full': problem('A file system is nearly full.', 'Delete data, or increase volumeSize.'),
  'quota-full': warning(
    'A mailbox is nearly full: mail to it will be refused.',
    'Have its owner delete mail, or increase its quota.',
  ),
  'memory-low': warning(
    'The host is short of memory.',
    'Find the process; choose a larger serverType if it lasts.',
  ),
  'scan-slow': warning(
    'Scanning a message takes long, so mail is delayed.',
    'Check load, resolver and DNS lists.',
  ),
  'updates-missing': warning(
    'Updates are not installed.',
    'Read /var/log/unattended-upgrades on the host.',
  ),
  'reboot-due': warning('Updates take effect only after a reboot.', 'Reboot the host.'),
  'timer-stuck': warning(
    'A timer does not run its task.',
    'Check the timer and its unit with `systemctl status`.',
  ),
  'clock-wrong': warning(
    'The clock of the host is not set by a time server.',
    'Check systemd-timesyncd, and outbound UDP port 123.',
  ),
  'backup-failed': problem(
    'The last backup failed, or is too old.',
    'Run `mailhost backup` on the host, and read its error.',
  ),
  'backup-absent': warning('Mail is not backed up.', 'Set backup.'),
  'renewal-failed': warning(
    'The CA issues no certificate.',
    'Run `mailhost renew` on the host, and read its error.',
  ),
  'caa-account': warning(
    'The CAA record does not name the account at the CA.',
    'Create the record again as docs/certificates.md describes.',
  ),
  'port-25-blocked': problem(
    'The host cannot connect to other mail systems on port 25.',
    'Ask the provider of the server to open outbound port 25.',
  ),
  'list-refuses': warning(
    'A DNS list refuses the resolver of the host, so less spam is found.',
    'Find out why the list refuses: volume, or a forwarder in between.',
  ),
  drift: warning(
    'The host differs from what was deployed.',
    'Set drift to mend, and run `pulumi up`.',
  ),
  'bans-missing': problem(
    'fail2ban does not watch logins, so passwords can be guessed without limit.',
    'Restart fail2ban, and read its journal.',
  ),
  'dmarc-own-failed': problem(
    'Other mail systems found mail of this host forged: it was refused or filed as junk there.',
    'Compare the SPF and DKIM records with the plan, and check that mail is signed.',
  ),
  'dmarc-unknown-sender': warning(
    'A system that is not in the plan sends mail in the name of a domain, and fails DMARC.',
    'If it sends for you, add it to spf of the domain or have it sign; if not, do nothing.',
  ),
  'tls-failed': problem(
    'Other mail systems could not send by TLS as the policy of a domain demands: they may hold mail back.',
    'Check the certificate, the TLSA records and the MTA-STS policy with this command from outside.',
  ),
  'check-failed': warning('A check on the host failed itself.', 'Read its error.'),
} satisfies Record<string, Entry>;

export type InsideCode = keyof typeof inside;
export const insideCodes = Object.keys(inside) as InsideCode[];

export type Code = keyof typeof outside | InsideCode;

/** Every kind of finding. */
export const catalogue: Record<Code, Entry> = { ...outside, ...inside };
