package main

// Listening on the address of --listen, with an error that says the cure.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listenOn opens the address of --listen.
func listenOn(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--listen %s is taken by another program; stop it or give another address", addr)
	case err != nil:
		return nil, fmt.Errorf("listening on --listen %s: %w", addr, err)
	}
	return ln, nil
}
