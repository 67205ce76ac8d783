package delivery

// Names whose answers mean ill: whatever a DNS server says, and however often
// it changes its mind, nothing forbidden is connected to.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/schemas"
)

// The policy of these tests is the strict one, but for one loopback address
// that stands for the public internet. All listen on one port, so that only
// the address tells them apart.
const (
	publicAddr  = "127.0.0.2"
	privateAddr = "127.0.0.1"
)

// neighbours are receivers at the allowed address and at forbidden ones, which
// count who connects.
type neighbours struct {
	port              string
	allowed, intruded atomic.Int64
}

func newNeighbours(t *testing.T) *neighbours {
	t.Helper()
	n := &neighbours{}
	listen := func(address string, count *atomic.Int64) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		_, n.port, _ = net.SplitHostPort(l.Addr().String())
		server := &http.Server{Handler: http.HandlerFunc(status(200)), ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				count.Add(1)
			}
		}}
		var served sync.WaitGroup
		served.Go(func() { _ = server.Serve(l) })
		t.Cleanup(func() { server.Close(); served.Wait() })
		return nil
	}
	if err := listen(privateAddr+":0", &n.intruded); err != nil {
		t.Fatal(err)
	}
	if err := listen(publicAddr+":"+n.port, &n.allowed); err != nil {
		t.Skipf("needs all of 127.0.0.0/8 on loopback: %v", err)
	}
	if err := listen("[::1]:"+n.port, &n.intruded); err != nil {
		t.Logf("without IPv6: %v", err)
	}
	return n
}

func onlyPublic(r *net.Resolver) func(*Config) {
	return func(c *Config) {
		c.Egress = egress.Policy{AllowHTTP: true, Allow: []netip.Prefix{netip.MustParsePrefix(publicAddr + "/32")}}
		c.Resolver = r
	}
}

// TestHostileNames: each name gets several attempts, each on a connection of
// its own.
func TestHostileNames(t *testing.T) {
	forbidden := []string{privateAddr, "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "169.254.169.254", "10.0.0.1", "fe80::1", "fd00:ec2::254", "168.63.129.16", "64:ff9b::7f00:1", "2002:7f00:1::1", "::7f00:1"}
	flood := make([]string, 0, 3000)
	for i := range 3000 {
		flood = append(flood, fmt.Sprintf("127.%d.%d.1", 1+i/250, i%250))
	}
	zones := map[string]struct {
		answers zone
		kinds   string // of error that are right, by attempt or for all; "" is a delivery
		timeout time.Duration
	}{
		"public.test":        {answers: give(0, publicAddr), kinds: ""},
		"private.test":       {answers: give(0, privateAddr), kinds: schemas.ErrBlocked},
		"private6.test":      {answers: give(0, "::1"), kinds: schemas.ErrBlocked},
		"forbidden.test":     {answers: give(0, forbidden...), kinds: schemas.ErrBlocked},
		"mixed.test":         {answers: give(0, append([]string{publicAddr}, forbidden...)...), kinds: ""},
		"mixed-last.test":    {answers: give(0, append(append([]string{}, forbidden...), publicAddr)...), kinds: ""},
		"chain.test":         {answers: give(1, privateAddr), kinds: schemas.ErrBlocked},
		"long-chain.test":    {answers: give(15, privateAddr), kinds: schemas.ErrBlocked},
		"public-chain.test":  {answers: give(3, publicAddr), kinds: ""},
		"huge.test":          {answers: give(0, flood...), kinds: schemas.ErrBlocked, timeout: 30 * time.Second},
		"huge-mixed.test":    {answers: give(0, append(append([]string{}, flood...), publicAddr)...), kinds: "", timeout: 30 * time.Second},
		"rebinds.test":       {answers: turns([]string{publicAddr}, []string{privateAddr}), kinds: "," + schemas.ErrBlocked + ",," + schemas.ErrBlocked},
		"rebinds-first.test": {answers: turns([]string{privateAddr}, []string{publicAddr}), kinds: schemas.ErrBlocked + ",," + schemas.ErrBlocked + ","},
		"rebinds-6.test":     {answers: turns([]string{publicAddr}, []string{"::1"}), kinds: "," + schemas.ErrBlocked + ",," + schemas.ErrBlocked},
		"empty.test":         {answers: give(0), kinds: schemas.ErrDNS},
		"nowhere.test":       {answers: code(dnsmessage.RCodeNameError), kinds: schemas.ErrDNS},
		"failing.test":       {answers: code(dnsmessage.RCodeServerFailure), kinds: schemas.ErrDNS},
		"refused.test":       {answers: code(dnsmessage.RCodeRefused), kinds: schemas.ErrDNS},
		"slow.test":          {answers: silent, kinds: schemas.ErrTimeout, timeout: 300 * time.Millisecond},
		"loop.test": {answers: func(name string, kind dnsmessage.Type, _ int) (dnsmessage.Message, bool) {
			owner := dnsmessage.MustNewName(name + ".")
			return dnsmessage.Message{Answers: []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: owner, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: owner}}}}, true
		}, kinds: schemas.ErrDNS},
	}
	resolver := nameserver(t, func(name string, kind dnsmessage.Type, n int) (dnsmessage.Message, bool) {
		z, ok := zones[name]
		if !ok {
			return dnsmessage.Message{Header: dnsmessage.Header{RCode: dnsmessage.RCodeNameError}}, true
		}
		return z.answers(name, kind, n)
	})
	n := newNeighbours(t)
	for name, z := range zones {
		h := newHarness(t, "http://"+name+".:"+n.port+"/", onlyPublic(resolver)) // the last dot keeps search lists out
		if h.target.Timeout = z.timeout; z.timeout == 0 {
			h.target.Timeout = 30 * time.Second
		}
		kinds := strings.Split(z.kinds, ",")
		for i := range 4 {
			before, want := n.allowed.Load(), kinds[i%len(kinds)]
			out := h.send(t, sample(fmt.Sprintf("dlv_%d", i)))
			if out.Row.ErrorKind != want || (out.Verdict == schemas.Delivered) != (want == "") {
				t.Errorf("%s, attempt %d: %q %q, want %q", name, i, out.Row.ErrorKind, out.Row.Error, want)
			}
			if reached := n.allowed.Load() > before; reached != (want == "") {
				t.Errorf("%s, attempt %d: the allowed receiver was reached: %v", name, i, reached)
			}
			for _, a := range append(forbidden, publicAddr) {
				if len(a) > 3 && strings.Contains(out.Row.Error, a) {
					t.Errorf("%s: the error tells an address: %s", name, out.Row.Error)
				}
			}
			h.clients.close() // the next attempt looks the name up again
		}
	}
	if got := n.intruded.Load(); got != 0 {
		t.Errorf("%d connections to forbidden addresses", got)
	}
}

// TestNamesThatRebindUnderLoad: answers that change between calls, asked by
// many attempts at once.
func TestNamesThatRebindUnderLoad(t *testing.T) {
	n := newNeighbours(t)
	resolver := nameserver(t, turns([]string{publicAddr}, []string{privateAddr, "::1"}, []string{publicAddr, privateAddr}, []string{"::1"}))
	h := newHarness(t, "http://rebinds.test.:"+n.port+"/", onlyPublic(resolver), func(c *Config) {
		c.Breaker.Consecutive, c.Breaker.MinAttempts = 1e6, 1e6
	})
	h.target.Timeout, h.target.Concurrency = 30*time.Second, 8
	var delivered, blocked atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 25 {
				a := h.Admit("wh_1", schemas.KindEvent, time.Now())
				if a.Kind != schemas.Go {
					t.Errorf("not admitted: %+v", a)
					return
				}
				out := h.Deliver(context.Background(), a.Token, sample(fmt.Sprintf("dlv_%d_%d", i, j)))
				switch out.Row.ErrorKind {
				case "":
					delivered.Add(1)
				case schemas.ErrBlocked:
					blocked.Add(1)
				case schemas.ErrDNS: // both types were asked at a turn that has neither
				default:
					t.Errorf("%q %q", out.Row.ErrorKind, out.Row.Error)
				}
				h.clients.close()
			}
		})
	}
	wg.Wait()
	t.Logf("%d delivered, %d refused", delivered.Load(), blocked.Load())
	if delivered.Load() == 0 || blocked.Load() == 0 {
		t.Error("the answers did not change")
	}
	if got := n.intruded.Load(); got != 0 {
		t.Errorf("%d connections to forbidden addresses", got)
	}
}

func give(chain int, all ...string) zone {
	return func(name string, kind dnsmessage.Type, _ int) (dnsmessage.Message, bool) {
		return addresses(name, kind, chain, all...), true
	}
}

func turns(lists ...[]string) zone {
	return func(name string, kind dnsmessage.Type, n int) (dnsmessage.Message, bool) {
		return addresses(name, kind, 0, lists[n%len(lists)]...), true
	}
}

func code(c dnsmessage.RCode) zone {
	return func(string, dnsmessage.Type, int) (dnsmessage.Message, bool) {
		return dnsmessage.Message{Header: dnsmessage.Header{RCode: c}}, true
	}
}

func silent(string, dnsmessage.Type, int) (dnsmessage.Message, bool) {
	return dnsmessage.Message{}, false
}
