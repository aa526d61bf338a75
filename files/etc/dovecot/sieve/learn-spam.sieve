require ["vnd.dovecot.pipe", "copy", "imapsieve"];

# spamd takes no more.
if size :over 500K {
  stop;
}
pipe :copy "learn" ["spam"];
