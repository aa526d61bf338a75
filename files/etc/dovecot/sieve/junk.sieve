require ["fileinto", "mailbox"];

# Tagging begins lower than this: a message that is only suspected stays in the inbox, with its headers.
if header :contains "X-Spam-Level" "*****" {
  fileinto :create "Junk";
  stop;
}
