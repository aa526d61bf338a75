#!/bin/sh
# The least that makes the host: over one connection, nothing looked at, nothing tried again. The variables and the archive
# come before and after this text.
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

user() {
  groupadd --system --gid "$2" "$1"
  useradd --system --uid "$2" --gid "$1" --home-dir "$3" --no-create-home --shell /usr/sbin/nologin "$1"
}
user vmail 5000 /srv/mailhost/mail
user opensmtpd 901 /var/lib/opensmtpd/empty
user opensmtpq 902 /var/lib/opensmtpd/empty
user amavis 903 /var/lib/amavis
user dovecot 904 /usr/lib/dovecot
user dovenull 905 /nonexistent
user debian-spamd 906 /var/lib/spamassassin
user mailhost-probe 907 /srv/mailhost/home/mailhost-probe

mount_unit() {
  cat >"/etc/systemd/system/$1.mount" <<UNIT
[Unit]
Description=$2

[Mount]
What=$3
Where=$4
Type=$5
Options=$6

[Install]
WantedBy=local-fs.target
UNIT
}
mkdir -p /srv/mailhost /var/spool/smtpd
mount_unit srv-mailhost 'Mail and queue' "$volume" /srv/mailhost ext4 nodev,nosuid,noexec
mount_unit var-spool-smtpd 'Mail queue' /srv/mailhost/queue /var/spool/smtpd none bind,nodev,nosuid,noexec
# What the unit in the archive leaves to it.
mkdir /etc/systemd/system/srv-mailhost.mount.d
printf '[Mount]\nWhat=%s\n' "$volume" >/etc/systemd/system/srv-mailhost.mount.d/device.conf
systemctl daemon-reload
systemctl enable --quiet --now srv-mailhost.mount
mkdir -p /srv/mailhost/queue
systemctl enable --quiet --now var-spool-smtpd.mount
hostnamectl hostname "$host_name"

# The daemons start once, with their own files.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
apt-get -qq update
apt-get -qq --yes --no-install-recommends install $packages >/dev/null
rm /usr/sbin/policy-rc.d

cd /srv/mailhost
install -d -o vmail -g vmail -m 0700 mail
install -d -o amavis -g amavis -m 0700 bayes quarantine
install -d -m 0755 home
install -d -o mailhost-probe -g mailhost-probe -m 0700 home/mailhost-probe
install -d -m 0700 acme
install -d -o opensmtpd -g opensmtpd -m 0700 submission
install -d -m 0711 queue
install -d -g opensmtpq -m 0770 queue/offline
install -d -o opensmtpq -m 0700 queue/purge queue/temporary queue/incoming queue/queue queue/corrupt
chattr +D queue/queue
(umask 077 && echo "srs key \"$(openssl rand -hex 32)\"" >srs.conf)

sed '1,/^# ARCHIVE$/d' "$0" | base64 --decode | tar --extract --gzip --directory /
echo "$owners" | while read -r owner path; do chown "$owner" "$path"; done
for script in /etc/dovecot/sieve/*.sieve; do sievec -c /etc/dovecot/dovecot.conf "$script"; done
systemctl daemon-reload
systemctl reload ssh
systemctl enable --quiet $units mailhost-undo.service
systemctl restart $units
rm -f /etc/resolv.conf
printf 'nameserver %s\n' $resolvers >/etc/resolv.conf
rm "$0"
exit
# ARCHIVE
