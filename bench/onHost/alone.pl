# SpamAssassin alone: scans files as amavis has it do, in so many processes of one parent, and prints the seconds of each file
# and of all. Arguments: number of processes, Bayes store, octets of a message that are scanned, files.
use strict;
use warnings;
use Mail::SpamAssassin;
use Time::HiRes 'time';

my ($processes, $bayes, $limit, @files) = @ARGV;
my $sa = Mail::SpamAssassin->new({
  dont_copy_prefs => 1,
  require_rules => 1,
  stop_at_threshold => 0,
  need_tags => 'TIMING,LANGUAGES,RELAYCOUNTRY,ASN,ASNCIDR',
  home_dir_for_helpers => '/var/lib/amavis',
  post_config_text => "bayes_path $bayes\n",
});
$sa->compile_now;
$sa->call_plugins('prefork_init');

sub scan {
  my ($file) = @_;
  open my $handle, '<', $file or die "$file: $!";
  read $handle, my $text, $limit;
  my $message = $sa->parse(\$text);
  my $status = $sa->check($message);
  # What amavis takes from it.
  $status->get_score;
  $status->get_names_of_tests_hit;
  $status->get_tag($_) for qw(TESTSSCORES AUTOLEARN TIMING);
  $status->finish;
  $message->finish;
}

pipe my $ready, my $tell or die $!;
pipe my $work, my $hand_out or die $!;
for (1 .. $processes) {
  next if fork;
  close $hand_out;
  $sa->call_plugins('spamd_child_init');
  # The first message that a process scans takes longer; amavis' workers have seen some, too.
  scan($files[0]);
  syswrite $tell, 'x';
  while (sysread $work, my $number, 4) {
    my $file = $files[unpack 'N', $number];
    my $begin = time;
    scan($file);
    syswrite STDOUT, sprintf("%s %.6f\n", $file, time - $begin);
  }
  exit;
}
close $work;
sysread $ready, my $one, 1 or die for 1 .. $processes;
my $begin = time;
syswrite $hand_out, pack 'N*', 0 .. $#files;
close $hand_out;
1 while wait > 0;
syswrite STDOUT, sprintf("all %.6f\n", time - $begin);
