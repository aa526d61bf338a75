import type { ZoneRecord } from './backend';

const listed = (name: string, rdata: string): ZoneRecord => ({ name, type: 'A', ttl: 300, rdata });

/**
 * The zones of the lab's DNS lists, under the names that SpamAssassin asks. Each way of refusing an answer is an entry
 * of its own.
 */
export const dnsLists: Record<string, ZoneRecord[]> = {
  'spamhaus.org': [
    // What every list has, so that one can tell whether it answers (RFC 5782, section 5).
    listed('2.0.0.127.zen.spamhaus.org', '127.0.0.2'),
    listed('refused-as-open.com.dbl.spamhaus.org', '127.255.255.254'),
  ],
  'uribl.com': [
    listed('spam-domain.com.multi.uribl.com', '127.0.0.2'),
    listed('refused-as-too-many.com.multi.uribl.com', '127.0.0.255'),
  ],
};
