package delivery

// Spellings of addresses, taken through everything that reads them on the way
// to a connection: the URL parser, net/http, the resolver, the dialer.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/delivery/egress"
)

// inetAton reads what C libraries read: one to four numbers in any base.
func inetAton(name string) (netip.Addr, bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			sum = sum<<(8*(5-len(parts))) | n
		} else {
			sum = sum<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// spelled draws a host that some reader takes for the address.
func spelled(t *rapid.T, a netip.Addr) string {
	if a.Is6() {
		b := a.As16()
		host := rapid.SampledFrom([]string{
			a.String(), a.StringExpanded(), strings.ToUpper(a.StringExpanded()), a.String() + "%25lo", a.String() + "%251",
			fmt.Sprintf("%x:%x:%x:%x:%x:%x:%d.%d.%d.%d", uint16(b[0])<<8|uint16(b[1]), uint16(b[2])<<8|uint16(b[3]), uint16(b[4])<<8|uint16(b[5]), uint16(b[6])<<8|uint16(b[7]),
				uint16(b[8])<<8|uint16(b[9]), uint16(b[10])<<8|uint16(b[11]), b[12], b[13], b[14], b[15]),
		}).Draw(t, "IPv6")
		return "[" + host + "]"
	}
	b := a.As4()
	number := func(n uint64) string {
		return fmt.Sprintf(rapid.SampledFrom([]string{"%d", "0%o", "00%o", "0x%x", "0X%X", "0x%08x", "%03d"}).Draw(t, "base"), n)
	}
	whole := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	var host string
	switch rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(t, "parts") {
	case 0:
		host = a.String()
	case 1:
		host = number(whole)
	case 2:
		host = number(uint64(b[0])) + "." + number(whole&0xffffff)
	case 3:
		host = number(uint64(b[0])) + "." + number(uint64(b[1])) + "." + number(whole&0xffff)
	case 4:
		host = number(uint64(b[0])) + "." + number(uint64(b[1])) + "." + number(uint64(b[2])) + "." + number(uint64(b[3]))
	}
	if rapid.Bool().Draw(t, "trailing dot") {
		host += "."
	}
	if rapid.Bool().Draw(t, "full-width digits") {
		host = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r - '0' + '０'
			}
			return r
		}, host)
	}
	if dot := rapid.SampledFrom([]string{".", "。", "．", "｡"}).Draw(t, "dot"); dot != "." {
		host = strings.ReplaceAll(host, ".", dot)
	}
	switch rapid.SampledFrom([]string{"", "foreign", "all"}).Draw(t, "percent") {
	case "foreign":
		host = url.PathEscape(host)
	case "all":
		var all strings.Builder
		for i := range len(host) {
			fmt.Fprintf(&all, "%%%02x", host[i])
		}
		host = all.String()
	}
	return host
}

// TestNoSpellingIsDialed: a URL of a forbidden address, in whatever spelling,
// ends before the connection: the parser refuses it, no resolver knows it, or
// the guard stops it. The resolver here is a helpful one that reads numbers as
// C libraries do.
func TestNoSpellingIsDialed(t *testing.T) {
	forbidden := []string{"127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "100.64.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "168.63.129.16", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2001:0:0:0:0:0:80ff:fffe", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"}
	resolver := nameserver(t, func(name string, kind dnsmessage.Type, _ int) (dnsmessage.Message, bool) {
		// A leading zero makes readers differ, and another address of it that may be
		// anybody's: nothing of this test leaves the machine.
		if a, ok := inetAton(name); ok && slices.Contains(forbidden, a.String()) {
			return addresses(name, kind, 0, a.String()), true
		}
		return dnsmessage.Message{Header: dnsmessage.Header{RCode: dnsmessage.RCodeNameError}}, true
	})
	cfg := DefaultConfig()
	cfg.Egress, cfg.Resolver = egress.Policy{AllowHTTP: true}, resolver
	c, err := newClients(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	guard, err := egress.NewGuard(cfg.Egress)
	if err != nil {
		t.Fatal(err)
	}
	blocked := 0
	rapid.Check(t, func(t *rapid.T) {
		a := netip.MustParseAddr(rapid.SampledFrom(forbidden).Draw(t, "address"))
		scheme := rapid.SampledFrom([]string{"http", "https", "HTTP"}).Draw(t, "scheme")
		user := rapid.SampledFrom([]string{"", "", "user@", "example.com:80@", "example.com%40"}).Draw(t, "user")
		port := rapid.SampledFrom([]string{"", ":80", ":443", ":8080", ":00080", ":"}).Draw(t, "port")
		raw := scheme + "://" + user + spelled(t, a) + port + "/"
		if guard.CheckURL(raw) == nil {
			t.Fatalf("%s is taken for an endpoint", raw)
		}
		u, err := url.Parse(raw)
		if err != nil {
			return // what no parser of ours reads cannot be dialed
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		req := (&http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
		resp, err := c.do(req, rapid.Bool().Draw(t, "HTTP/2"))
		if err == nil {
			resp.Body.Close()
			t.Fatalf("%s was answered", raw)
		}
		var unknown *net.DNSError
		switch {
		case errors.Is(err, egress.ErrBlocked):
			blocked++
		case errors.As(err, &unknown), strings.Contains(err.Error(), "invalid URL"), strings.Contains(err.Error(), "idna"), strings.Contains(err.Error(), "too many colons"), strings.Contains(err.Error(), "unsupported protocol scheme"):
		default:
			t.Fatalf("%s: neither refused nor unknown: %v", raw, err)
		}
	})
	t.Logf("%d stopped by the guard", blocked)
	if blocked == 0 {
		t.Error("nothing ever came to the guard")
	}
}
