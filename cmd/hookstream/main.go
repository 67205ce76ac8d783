// Command hookstream delivers the domain events of Kafka topics as webhooks.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal drains; the second finds no handler and ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop()
	}()
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr, Bodies{
		Dev: runDev, Serve: runServe, Produce: runProduce, ClickHouse: runClickHouse,
	})
	stop()
	os.Exit(code)
}
