package main

// The command "clickhouse": the embedded engine behind the ClickHouse HTTP
// interface, alone or as the child of dev.

import (
	"context"
	"os"

	"github.com/hookstream/hookstream/internal/devstack"
)

func runClickHouse(ctx context.Context, inv Invocation) error {
	library, err := devstack.FetchLibrary(ctx, inv.Stderr)
	if err != nil {
		return err
	}
	c := devstack.DefaultClickHouseConfig()
	c.Listen, c.Data, c.Password = inv.Config.Listen, inv.Config.Data, inv.Config.ClickHousePassword
	c.Lib, c.Stdin, c.Logger = library, os.Stdin, inv.Config.Logger(inv.Stderr)
	// The engine handles the signals itself: an interrupt on the terminal is for
	// the parent, which closes our standard input when it is done with us.
	return devstack.ServeClickHouse(context.WithoutCancel(ctx), c)
}
