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
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
}

func newDialer(cfg *Config, guard *egress.Guard, http2 bool) *dialer {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
	if http2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	guarded := &net.Dialer{KeepAlive: keepAlivePeriod, Resolver: cfg.Resolver, Control: guard.Control}
	return &dialer{dial: guarded.DialContext, tls: config}
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
	return d.dial(ctx, network, address)
}

func (d *dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	raw, err := d.dial(ctx, network, address)
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
