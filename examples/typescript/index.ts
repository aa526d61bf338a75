import * as pulumi from '@pulumi/pulumi';
import { MailHost } from 'mailhost';

const config = new pulumi.Config();
const postmaster = config.require('postmaster');

const mail = new MailHost('mail', {
  hostName: config.require('hostName'),
  domains: [{ name: config.require('domain') }],
  accounts: [{ address: postmaster, passwordHash: config.requireSecret('passwordHash') }],
  postmaster,
  messageSize: 35,
  // Let's Encrypt's terms: https://letsencrypt.org/repository/
  tls: { acceptTerms: true },
});

export const { ipv4, openTasks, sshPrivateKey } = mail;
