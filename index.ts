import './endWithEngine';
import './stackTraces';
import * as pulumi from '@pulumi/pulumi';
import { MailHost } from './components/mailHost';
import * as steps from './components/nextSteps';
import { readSettings, stackConfig } from './settings';

const settings = readSettings();
const host = new MailHost('mail', settings, {}, stackConfig);

export const ipv4 = host.ipv4;
export const ipv6 = host.ipv6;
/** What to fill in at a mail client. */
export const mailClient = steps.mailClient(settings.hostName, settings.accountKind);
/** For the registrar of each zone that Cloudflare signs. */
export const dsRecords = host.dsRecords;
/** All records, for who publishes them elsewhere: `pulumi stack output zoneFile`. */
export const zoneFile = host.zoneFile;
/** What only a person can do, at a registrar or provider. */
export const openTasks = host.openTasks;
/** Both of these as text: `pulumi stack output nextSteps`. */
export const nextSteps = host.openTasks.apply((tasks) =>
  steps.nextSteps(mailClient, tasks, host.caCertPem !== undefined),
);
/** Of each domain: the DKIM selector that signs, the next, and from when on a rotation removes the others. */
export const dkimCalendar = host.dkimCalendar;
/** Of each domain that changes hosts: what the switch changes, and until when others may remember the MX from before. */
export const moves = host.moves;
/** The server beside the one that serves, with its proof; null without one. */
export const standbyServer = host.standby ?? null;
/** Mail clients have to trust this CA; null where the certificate is by a public one. */
export const caCertPem = host.caCertPem ?? null;
/** `pulumi stack output sshPrivateKey --show-secrets` gets an administrator back in. */
export const sshPrivateKey = pulumi.secret(host.sshPrivateKey);
