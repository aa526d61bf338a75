"""Reports that other mail systems send about mail in the name of the host's domains: DMARC (RFC 9990) and TLS (RFC 8460)."""
