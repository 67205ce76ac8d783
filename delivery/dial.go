package delivery

// Dialing: every connection of a delivery, through the guard and bounded by
// the attempt that asked for it.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/delivery/egress"
)

// dialer makes connections. net/http takes the cancellation of a request away
// from the context that it dials with, so that another request may use the
// connection: a server that takes connections and then says nothing would hold
// one, and two goroutines, for each attempt ever made. So the attempt's deadline
// travels as a value, and holds for name look-up, connection and handshake
// together.
type dialer struct {
	net net.Dialer
	tls *tls.Config
}

func newDialer(guard *egress.Guard, resolver *net.Resolver, config *tls.Config) *dialer {
	return &dialer{net: net.Dialer{KeepAlive: keepAlivePeriod, Resolver: resolver, Control: guard.Control}, tls: config}
}

// deadlineKey is where a dial finds the time.Time at which its attempt ends.
type deadlineKey struct{}

// bounded notes a request's deadline for the dial that it may cause.
func bounded(req *http.Request) *http.Request {
	ctx := req.Context()
	deadline, ok := ctx.Deadline()
	if !ok {
		return req
	}
	return req.WithContext(context.WithValue(ctx, deadlineKey{}, deadline))
}

func within(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
		return context.WithDeadline(ctx, deadline)
	}
	return context.WithCancel(ctx)
}

func (d *dialer) plain(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	return d.net.DialContext(ctx, network, address)
}

func (d *dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	raw, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := d.tls.Clone()
	config.ServerName = host
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}
