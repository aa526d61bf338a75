// A mail host, by a program in Go.
package main

import (
	"git.example.org/mailhost/mailhost/sdk/go/mailhost"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		conf := config.New(ctx, "")
		postmaster := conf.Require("postmaster")
		mail, err := mailhost.NewMailHost(ctx, "mail", &mailhost.MailHostArgs{
			HostName: conf.Require("hostName"),
			Domains:  []mailhost.DomainArgs{{Name: conf.Require("domain")}},
			Accounts: []mailhost.AccountArgs{{
				Address:      postmaster,
				PasswordHash: conf.RequireSecret("passwordHash"),
			}},
			Postmaster:  postmaster,
			MessageSize: pulumi.Float64Ref(35),
			// Let's Encrypt's terms: https://letsencrypt.org/repository/
			Tls: &mailhost.TlsArgs{AcceptTerms: pulumi.BoolRef(true)},
		})
		if err != nil {
			return err
		}
		ctx.Export("ipv4", mail.Ipv4)
		ctx.Export("openTasks", mail.OpenTasks)
		ctx.Export("sshPrivateKey", mail.SshPrivateKey)
		return nil
	})
}
