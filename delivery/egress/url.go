package egress

// URLs of endpoints: what can be refused before any connection is made.

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL bounds an endpoint's URL in bytes.
const MaxURL = 2048

// CheckURL says why an endpoint's URL cannot be taken, in words for its
// owner. A host name is not looked up: what it leads to is judged at each
// connection, because it may change.
func CheckURL(raw string, policy Policy) error {
	g, err := NewGuard(policy)
	if err != nil {
		return err
	}
	return g.CheckURL(raw)
}

// CheckURL is the function of the same name with the guard's own policy.
func (g *Guard) CheckURL(raw string) error {
	switch {
	case raw == "":
		return fmt.Errorf("is empty; give an absolute https URL")
	case len(raw) > MaxURL:
		return fmt.Errorf("has %d bytes; give at most %d", len(raw), MaxURL)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] <= ' ' || raw[i] == 0x7f || raw[i] == '\\' {
			return fmt.Errorf("has the character %q at %d; percent-encode it or leave it out", raw[i], i)
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("is no URL")
	}
	switch {
	case u.Scheme == "http" && !g.policy.AllowHTTP:
		return fmt.Errorf("is http; give an https URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("has the scheme %q; give an absolute https URL", u.Scheme)
	case u.User != nil:
		return fmt.Errorf("holds a user name or password; put credentials into a custom header")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return fmt.Errorf("has a fragment (#…), which is never sent; leave it out")
	case u.Hostname() == "":
		return fmt.Errorf("names no host; give an absolute https URL")
	}
	if err := g.checkURLPort(u); err != nil {
		return err
	}
	return g.checkHost(u.Hostname())
}

func (g *Guard) checkURLPort(u *url.URL) error {
	port := uint64(443)
	if u.Scheme == "http" {
		port = 80
	}
	if text := u.Port(); text != "" {
		var err error
		if port, err = strconv.ParseUint(text, 10, 16); err != nil || port == 0 {
			return fmt.Errorf("has the port %q; give 1 to 65535", text)
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("has a colon without a port")
	}
	if err := g.checkPort(uint16(port)); err != nil {
		return fmt.Errorf("has port %d, which is not allowed here", port)
	}
	return nil
}

// checkHost judges a literal address in any of the spellings that resolvers
// take, and names that can only be local.
func (g *Guard) checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return fmt.Errorf("has an address with a zone; give a host name or a public address")
		}
		return g.checkLiteral(addr)
	}
	if addr, ok := looseIPv4(host); ok {
		if !g.policy.AllowPrivate {
			return fmt.Errorf("has the host %s, an odd spelling of the address %s; write it as four decimal numbers", host, addr)
		}
		return g.checkLiteral(addr)
	}
	for i := 0; i < len(host); i++ {
		c := host[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return fmt.Errorf("has the host %q; write an international name in its xn-- form", host)
		}
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" || strings.HasPrefix(name, ".") || strings.Contains(name, "..") || len(name) > 253 {
		return fmt.Errorf("has the host %q, no valid name", host)
	}
	// No top-level domain is a number; resolvers differ in what they make of one.
	if last := name[strings.LastIndexByte(name, '.')+1:]; numeric(last) {
		return fmt.Errorf("has the host %q, neither a name nor an address", host)
	}
	if g.policy.AllowPrivate || len(g.policy.Allow) > 0 {
		return nil
	}
	for _, local := range []string{"localhost", "local", "internal", "localdomain", "home.arpa"} {
		if name == local || strings.HasSuffix(name, "."+local) {
			return fmt.Errorf("has the host %s, which is not on the public internet", host)
		}
	}
	if !strings.Contains(name, ".") {
		return fmt.Errorf("has the host %s, which is not on the public internet; give a full name", host)
	}
	return nil
}

func (g *Guard) checkLiteral(a netip.Addr) error {
	if g.CheckAddr(a) != nil {
		return fmt.Errorf("has the address %s, which is not allowed here", a)
	}
	return nil
}

// looseIPv4 reads what inet_aton reads: one to four parts, decimal, octal or
// hexadecimal, the last one filling what is left.
func looseIPv4(host string) (netip.Addr, bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, ok := looseNumber(part)
		if !ok || n >= 1<<bits {
			return netip.Addr{}, false
		}
		sum = sum<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

func looseNumber(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	n, err := strconv.ParseUint(s, base, 33)
	return n, err == nil
}

func numeric(label string) bool {
	_, loose := looseNumber(label)
	return loose || strings.Trim(label, "0123456789") == ""
}
