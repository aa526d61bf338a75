require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment"];

# Thrown away says nothing about what it was.
if environment :is "imap.mailbox" "Trash" {
  stop;
}
pipe :copy "learn" ["ham"];
