import { isIPv4, isIPv6 } from 'node:net';
import { refuse } from './errors';
import { isHostName, withoutDot } from './names';
import { quote, txtStrings } from './rdata';
import type { RecordData, RecordInput } from './record';

/** The content as the API stores and returns it: as sent, or put together from `data` where the type has that. */
export function recordContent(input: RecordInput): string {
  const { type, data } = input;
  if (type === 'CAA' || type === 'SRV' || type === 'TLSA') {
    return data ? dataContent(type, data) : refuse(9101, `data is required for ${type} records.`);
  }
  const { content } = input;
  if (content === undefined || content === '') {
    return refuse(9020, 'content is required.');
  }
  switch (type) {
    case 'A':
      return isIPv4(content)
        ? content
        : refuse(9005, 'Content for A record must be a valid IPv4 address.');
    case 'AAAA':
      return isIPv6(content)
        ? content
        : refuse(9006, 'Content for AAAA record must be a valid IPv6 address.');
    case 'CNAME':
      return isHostName(content)
        ? withoutDot(content)
        : refuse(9007, 'Content for CNAME record is invalid.');
    case 'MX':
      if (input.priority === undefined) {
        return refuse(9101, 'priority is a required data field.');
      }
      return isHostName(content) || content === '.'
        ? withoutDot(content)
        : refuse(9009, 'Content for MX record must be a hostname.');
    case 'TXT':
      return txtStrings(content)
        ? content
        : refuse(9012, 'Content for TXT record is invalid: strings hold at most 255 octets.');
    default:
      return refuse(9004, `Invalid or, in the lab, unsupported DNS record type: ${type}.`);
  }
}

function dataContent(type: 'CAA' | 'SRV' | 'TLSA', data: RecordData): string {
  const field = (name: keyof typeof data) =>
    data[name] ?? refuse(9101, `${name} is a required data field.`);
  switch (type) {
    case 'CAA':
      return `${field('flags')} ${field('tag')} ${quote(Buffer.from(String(field('value'))))}`;
    case 'SRV':
      // The priority stands beside it alone.
      field('priority');
      return `${field('weight')} ${field('port')} ${withoutDot(String(field('target')))}`;
    case 'TLSA':
      if (!/^(?:[0-9a-f]{2})+$/i.test(String(field('certificate')))) {
        return refuse(9101, 'certificate must be hexadecimal.');
      }
      return `${field('usage')} ${field('selector')} ${field('matching_type')} ${field('certificate')}`;
  }
}
