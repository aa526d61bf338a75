package MailHost::Bounds;

# Plugin of SpamAssassin, see Mail::SpamAssassin::Plugin(3): bounds the CPU time of a scan, and hides from the scan of a
# user's message what lies before the login. `time_limit` alone does not do it: it counts the time that others take, its
# signal ends the rendering of one HTML part of many, and then no rule at all is run.

use strict;
use warnings;
use Mail::SpamAssassin::Plugin;
use Time::HiRes qw(setitimer ITIMER_VIRTUAL);

our @ISA = ('Mail::SpamAssassin::Plugin');

# Seconds of CPU time: for the text of all parts, and for the rules.
my %full = (render => 3, rules => 5);
# For a message whose scan was cut before.
my %short = (render => 1, rules => 1);

sub new {
  my ($class, $main) = @_;
  my $self = $class->SUPER::new($main);
  return bless $self, $class;
}

sub limits {
  no warnings 'once';
  return $Amavis::Custom::cuts ? \%short : \%full;
}

sub post_message_parse {
  my ($self, $opts) = @_;
  my $message = $opts->{message};
  hide_earlier_hops($message, @{ $self->{main}->{conf}->{originating_ip_headers} || [] })
    if $message->{suppl_attrib} && $message->{suppl_attrib}->{originating};
  $message->{mailhost_cut} = render($message, limits()->{render});
  return;
}

# The text of a part is kept, so the rules do not render it again. Parts for which no time is left have none.
sub render {
  my ($message, $seconds) = @_;
  my $cut = 0;
  my @parts = $message->find_parts(qr/./, 1);
  eval {
    local $SIG{VTALRM} = sub { $cut = 1; die "too slow\n" };
    setitimer(ITIMER_VIRTUAL, $seconds);
    for my $part (@parts) {
      last if $cut;
      $part->rendered;
    }
    setitimer(ITIMER_VIRTUAL, 0);
    1;
  } or setitimer(ITIMER_VIRTUAL, 0);
  if ($cut) {
    for my $part (@parts) {
      $part->set_rendered('') if !exists $part->{rendered} && $part->effective_type =~ m{^text/(?:plain|html)$};
    }
  }
  return $cut;
}

# As if the message began here: the Received lines below our own were written by the user's own systems, and so were the
# fields such as X-Originating-IP, which a webmail adds, and which count as Received lines.
sub hide_earlier_hops {
  my ($message, @fields) = @_;
  my %hidden = map { lc($_) => 1 } @fields;
  for my $kind (qw(headers raw_headers)) {
    delete @{ $message->{$kind} }{ keys %hidden };
    my $hops = $message->{$kind}->{received} or next;
    splice @$hops, 1;
  }
  my $seen = 0;
  my $is_shown = sub {
    my $name = lc shift;
    return !$hidden{$name} && ($name ne 'received' || !$seen++);
  };
  $message->{header_order} = [grep { $is_shown->($_) } @{ $message->{header_order} }];
  $seen = 0;
  $message->{pristine_headers} =~ s/^(([!-9;-~]+)[ \t]*:.*\n(?:[ \t].*\n)*)/$is_shown->($2) ? $1 : ''/gme;
  $message->{pristine_msg} = $message->{pristine_headers} . $message->{pristine_body};
  return;
}

sub check_start {
  my ($self, $opts) = @_;
  my $pms = $opts->{permsgstatus};
  mark($pms) if $pms->{msg}->{mailhost_cut};
  # SpamAssassin's own timers raise ALRM where the time is over: what runs ends, and no more is begun.
  $SIG{VTALRM} = sub {
    mark($pms);
    $pms->{deadline_exceeded} = 1;
    kill ALRM => $$;
  };
  setitimer(ITIMER_VIRTUAL, limits()->{rules});
  return;
}

sub check_end {
  setitimer(ITIMER_VIRTUAL, 0);
  $SIG{VTALRM} = 'DEFAULT';
  return;
}

# The name that SpamAssassin itself gives to this.
sub mark {
  my ($pms) = @_;
  $pms->got_hit('TIME_LIMIT_EXCEEDED', '', defscore => 0.001, description => 'Exceeded time limit / deadline');
  return;
}

1;
