package delivery

// A DNS server that answers what a test wants.

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone answers one question: how many times the name and type were asked
// before is n. Not ok: there is no answer at all.
type zone func(name string, kind dnsmessage.Type, n int) (m dnsmessage.Message, ok bool)

// nameserver is a DNS server on loopback, by UDP and TCP, and a resolver that
// asks nobody else.
func nameserver(t testing.TB, answers zone) *net.Resolver {
	t.Helper()
	var packets net.PacketConn
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		packets, err = net.ListenPacket("udp", listener.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{answers: answers, asked: map[string]int{}, conns: map[net.Conn]bool{}}
	s.running.Go(func() { s.datagrams(packets) })
	s.running.Go(func() { s.streams(listener) })
	t.Cleanup(func() {
		packets.Close()
		listener.Close()
		s.mu.Lock()
		s.closed = true
		for c := range s.conns {
			c.Close() // the resolver's own too: it asks on for seconds when nobody waits any more
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	address := listener.Addr().String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.conns[c] = true; s.closed {
			c.Close()
		}
		return c, nil
	}}
}

type dnsServer struct {
	answers zone
	running sync.WaitGroup
	mu      sync.Mutex
	asked   map[string]int
	conns   map[net.Conn]bool
	closed  bool
}

func (s *dnsServer) datagrams(c net.PacketConn) {
	b := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		if answer, ok := s.answer(b[:n], 1232); ok {
			_, _ = c.WriteTo(answer, from)
		}
	}
}

func (s *dnsServer) streams(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.running.Go(func() {
			defer c.Close()
			var size [2]byte
			for {
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				question := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(c, question); err != nil {
					return
				}
				answer, ok := s.answer(question, 65535)
				if !ok {
					_, _ = io.Copy(io.Discard, c)
					return
				}
				if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		})
	}
}

// answer is the packed answer; one that is longer than it may be is cut to a
// word to ask again by TCP.
func (s *dnsServer) answer(packed []byte, most int) ([]byte, bool) {
	var asked dnsmessage.Message
	if asked.Unpack(packed) != nil || len(asked.Questions) != 1 {
		return nil, false
	}
	q := asked.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	s.mu.Lock()
	key := name + " " + q.Type.String()
	n := s.asked[key]
	if most > 1232 || !s.again(name) {
		s.asked[key]++
	}
	s.mu.Unlock()
	m, ok := s.answers(name, q.Type, n)
	if !ok {
		return nil, false
	}
	m.ID, m.Response, m.RecursionAvailable, m.Questions = asked.ID, true, true, asked.Questions
	out, err := m.Pack()
	if err == nil && len(out) > most {
		m.Answers, m.Truncated = nil, true
		out, err = m.Pack()
	}
	return out, err == nil
}

// again: names of this kind are cut by UDP and asked a second time by TCP,
// which is one question.
func (s *dnsServer) again(name string) bool { return strings.HasPrefix(name, "huge") }

// addresses is an answer with the addresses of the type that is asked for, at
// the end of a chain of as many CNAMEs as said.
func addresses(name string, kind dnsmessage.Type, chain int, all ...string) dnsmessage.Message {
	var m dnsmessage.Message
	owner := dnsmessage.MustNewName(name + ".")
	head := func(kind dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: owner, Type: kind, Class: dnsmessage.ClassINET}
	}
	for i := range chain {
		next := dnsmessage.MustNewName(strings.Repeat("c", i%60+1) + ".chain.test.")
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head(dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: next}})
		owner = next
	}
	for _, text := range all {
		a := netip.MustParseAddr(text)
		switch {
		case a.Is4() && kind == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head(kind), Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && kind == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head(kind), Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m
}
