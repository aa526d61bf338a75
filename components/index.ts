export { MailHost } from './mailHost';
