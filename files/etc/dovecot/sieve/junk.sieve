require ["fileinto", "mailbox", "spamtest", "relational", "comparator-i;ascii-numeric"];

# Tagging begins lower than this: a message that is only suspected stays in the inbox, with its headers.
if spamtest :value "ge" :comparator "i;ascii-numeric" "10" {
  fileinto :create "Junk";
}
