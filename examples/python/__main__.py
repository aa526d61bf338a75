"""A mail host, by a program in Python."""

import pulumi
import pulumi_mailhost as mailhost

config = pulumi.Config()
postmaster = config.require("postmaster")

mail = mailhost.MailHost(
    "mail",
    host_name=config.require("hostName"),
    domains=[{"name": config.require("domain")}],
    accounts=[{"address": postmaster, "password_hash": config.require_secret("passwordHash")}],
    postmaster=postmaster,
    message_size=35,
    # Let's Encrypt's terms: https://letsencrypt.org/repository/
    tls={"accept_terms": True},
)

pulumi.export("ipv4", mail.ipv4)
pulumi.export("openTasks", mail.open_tasks)
pulumi.export("sshPrivateKey", mail.ssh_private_key)
