"""The mail host: each daemon's files, checked by the daemon before it is restarted, which it is where they changed."""

import json
import os
import pathlib
from io import StringIO

from pyinfra import host
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

KIT = pathlib.Path(os.environ["KIT"])
VARS = json.loads((KIT / "vars.json").read_text())
ROOT = "/srv/mailhost"

USERS = {
    "vmail": (5000, f"{ROOT}/mail"),
    "opensmtpd": (901, "/var/lib/opensmtpd/empty"),
    "opensmtpq": (902, "/var/lib/opensmtpd/empty"),
    "amavis": (903, "/var/lib/amavis"),
    "dovecot": (904, "/usr/lib/dovecot"),
    "dovenull": (905, "/nonexistent"),
    "debian-spamd": (906, "/var/lib/spamassassin"),
    "mailhost-probe": (907, f"{ROOT}/home/mailhost-probe"),
}

FOLDERS = (
    ("mail", "vmail", "vmail", "700"),
    ("bayes", "amavis", "amavis", "700"),
    ("quarantine", "amavis", "amavis", "700"),
    ("home", "root", "root", "755"),
    ("home/mailhost-probe", "mailhost-probe", "mailhost-probe", "700"),
    ("acme", "root", "root", "700"),
    ("submission", "opensmtpd", "opensmtpd", "700"),
    ("queue", "root", "root", "711"),
    ("queue/offline", "root", "opensmtpq", "770"),
    ("queue/purge", "opensmtpq", "root", "700"),
    ("queue/temporary", "opensmtpq", "root", "700"),
    ("queue/incoming", "opensmtpq", "root", "700"),
    ("queue/queue", "opensmtpq", "root", "700"),
    ("queue/corrupt", "opensmtpq", "root", "700"),
)

NO_STARTS = "#!/bin/sh\nexit 101\n"


def put_files(group: str) -> list:
    """Gives the operations, so that one can ask whether they changed something."""
    done = []
    for file in VARS["files"][group]:
        template = pathlib.Path(f"{KIT}/templates{file['path']}")
        how = {
            "name": f"{group}: {file['path']}",
            "src": str(template),
            "dest": file["path"],
            "user": file["owner"],
            "group": file["group"],
            "mode": file["mode"].lstrip("0"),
        }
        # A template's lines would end as Unix has it, and those of an MTA-STS policy do not.
        if any(mark in template.read_text() for mark in ("{{", "{%")):
            done.append(files.template(**how, messages_per_hour=VARS["messages_per_hour"]))
        else:
            done.append(files.put(**how, add_deploy_dir=False))
    return done


def daemon(group: str, unit: str, check=None, prepare=None, wait=None, also=(), **how) -> list:
    """Checked first, restarted after that; `also` are operations whose changes ask for it, too."""
    changed = put_files(group)
    due = any_changed(*changed, *also)
    if check:
        server.shell(name=f"{group}: check", commands=[check], _if=due)
    if prepare:
        server.shell(name=f"{group}: prepare", commands=[prepare], _if=due)
    units = [op for op, file in zip(changed, VARS["files"][group]) if "/systemd/" in file["path"]]
    systemd.daemon_reload(name=f"{group}: units", _if=any_changed(*units))
    systemd.service(name=f"{group}: restart", service=unit, **(how or {"restarted": True}), _if=due)
    systemd.service(name=f"{group}: at boot", service=unit, running=True, enabled=True)
    if wait:
        server.shell(name=f"{group}: answers", commands=[wait], _if=due)
    return changed


def answers(port: int) -> str:
    return f"timeout 60 sh -c 'until ss --listening --tcp --numeric | grep --quiet :{port}; do sleep 0.1; done'"


server.shell(name="First boot has ended", commands=["cloud-init status --wait"])
server.hostname(name="Host name", hostname=VARS["host_name"])
put_files("system")
for user, (number, home) in USERS.items():
    server.group(name=f"Group {user}", group=user, gid=number, system=True)
    server.user(
        name=f"User {user}", user=user, uid=number, group=user, home=home, create_home=False, system=True,
        shell="/usr/sbin/nologin",
    )  # fmt: skip

device = files.put(
    name="Device of the volume",
    src=StringIO(f"[Mount]\nWhat={VARS['volume']}\n"),
    dest="/etc/systemd/system/srv-mailhost.mount.d/device.conf",
    mode="644",
)
systemd.service(
    name="Volume", service="srv-mailhost.mount", running=True, enabled=True, daemon_reload=device.will_change
)
for path, owner, group, mode in FOLDERS:
    files.directory(name=f"Folder {path}", path=f"{ROOT}/{path}", user=owner, group=group, mode=mode)
server.shell(name="Folder of the queue: written at once", commands=[f"chattr +D {ROOT}/queue/queue"])
systemd.service(name="Queue", service="var-spool-smtpd.mount", running=True, enabled=True)
server.shell(
    name="Key of forwarders' addresses",
    commands=[f"test -e {ROOT}/srs.conf || (umask 077 && echo \"srs key \\\"$(openssl rand -hex 32)\\\"\" >{ROOT}/srs.conf)"],
)

missing = {*VARS["packages"]} - {*host.get_fact(DebPackages)}
# The daemons start once, with their own files.
if missing:
    files.put(name="No starts", src=StringIO(NO_STARTS), dest="/usr/sbin/policy-rc.d", mode="755")
apt.packages(name="Packages", packages=VARS["packages"], update=True, cache_time=3600, no_recommends=True)
if missing:
    files.file(name="Starts again", path="/usr/sbin/policy-rc.d", present=False)

for file in VARS["files"]["program"]:
    files.put(name=f"program: {file['path']}", src=f"{KIT}/rendered{file['path']}", dest=file["path"], user="root",
              group="root", mode=file["mode"].lstrip("0"), add_deploy_dir=False)  # fmt: skip

daemon("firewall", "nftables", check="nft --check --file /etc/nftables.conf", reloaded=True)
daemon("ssh", "ssh", check="sshd -t", reloaded=True)
daemon("fail2ban", "fail2ban", check="fail2ban-client --test")
# The check asks for the copy of the root's key, which the unit makes at its start.
daemon("resolver", "unbound", check="/usr/libexec/unbound-helper root_trust_anchor_update; unbound-checkconf")
certificate = daemon("tls", "mailhost-renew.timer")
rules = daemon("spamassassin", "spamd", check="spamassassin --lint")
systemd.service(name="Rules are updated", service="spamassassin-maintenance.timer", running=True, enabled=True)
daemon(
    "dovecot",
    "dovecot",
    check="doveconf -n >/dev/null",
    prepare='for script in /etc/dovecot/sieve/*.sieve; do sievec -c /etc/dovecot/dovecot.conf "$script" || exit; done',
    wait=answers(993),
    also=certificate,
)
# Its unit waits for its port.
daemon("amavis", "amavis", check="amavisd test-config", also=rules)
systemd.service(name="Domains sign", service="mailhost-sign.timer", running=True, enabled=True)
systemd.service(name="What runs at boot alone", service="mailhost-undo.service", running=False, enabled=True)
daemon("opensmtpd", "opensmtpd", check="smtpd -n", wait=answers(25), also=certificate)
daemon("web", "nginx", check="nginx -t", also=certificate, reloaded=True)
files.put(
    name="Name servers",
    src=StringIO("".join(f"nameserver {address}\n" for address in VARS["resolvers"])),
    dest="/etc/resolv.conf",
    mode="644",
)
