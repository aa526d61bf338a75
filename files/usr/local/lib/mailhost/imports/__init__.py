"""Copies mailboxes of another host into the accounts of this one. Each copy can be killed, and repeated."""
