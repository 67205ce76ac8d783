package main

// The command "fetch-engine": what make calls so that the first start of dev
// has nothing to wait for.

import (
	"context"
	"fmt"

	"github.com/hookstream/hookstream/internal/devstack"
)

func runFetchEngine(ctx context.Context, inv Invocation) error {
	path, err := devstack.FetchLibrary(ctx, inv.Stderr)
	if err != nil {
		return fmt.Errorf("fetching the ClickHouse engine: %w", err)
	}
	_, err = fmt.Fprintln(inv.Stdout, "ClickHouse engine:", path)
	return err
}
