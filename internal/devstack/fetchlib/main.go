// Command fetchlib puts the ClickHouse engine (libchdb) into the user's cache
// and prints where it is, so that the first start need not wait for the download.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hookstream/hookstream/internal/devstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	path, err := devstack.FetchLibrary(ctx, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetchlib:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
