// Package egress decides which addresses deliveries may go to. The guard
// stands in the dialer, after DNS and before the connection, so neither a
// name, a redirect nor a spelling of an address leads past it; CheckURL
// refuses early, when an endpoint is saved, what the guard would refuse later.
package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrBlocked is wrapped by everything that the guard refuses.
var ErrBlocked = errors.New("destination not allowed")

// Policy is what an installation allows. The zero value is the strict one:
// https to public addresses.
type Policy struct {
	AllowPrivate bool           // loopback, private and other special-purpose addresses, and every port
	AllowHTTP    bool           // http beside https
	Ports        []uint16       // allowed ports; empty: 80, 443 and those from 1024 on; AllowPrivate allows all
	Deny         []netip.Prefix // refused on top, even with AllowPrivate
	Allow        []netip.Prefix // taken although they are special-purpose, for example one internal network
}

// Validate names the field that is wrong.
func (p Policy) Validate() error {
	for _, list := range [][]netip.Prefix{p.Deny, p.Allow} {
		for _, prefix := range list {
			if !prefix.IsValid() || prefix != prefix.Masked() {
				return fmt.Errorf("egress: network %s is not valid; give address/bits with the host bits zero", prefix)
			}
			if prefix.Addr().Is4In6() { // mapped addresses are judged as IPv4: it would match nothing
				return fmt.Errorf("egress: network %s is IPv4 written as IPv6; give it as IPv4", prefix)
			}
		}
	}
	if slices.Contains(p.Ports, 0) {
		return errors.New("egress: port 0 cannot be allowed; give 1 to 65535")
	}
	return nil
}

// allowsPort: below 1024 live mail servers, shells and the like, which must
// not be talked to in somebody else's name.
func (p Policy) allowsPort(port uint16) bool {
	switch {
	case p.AllowPrivate:
		return port != 0
	case len(p.Ports) > 0:
		return slices.Contains(p.Ports, port)
	default:
		return port == 443 || port == 80 || port >= 1024
	}
}

// metadata are the addresses where clouds serve credentials to whoever asks
// from inside. Nobody's webhook lives there, so no switch opens them.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.254/32"),     // AWS, Azure, GCP, OpenStack, DigitalOcean, Oracle …
	netip.MustParsePrefix("169.254.170.0/24"),       // AWS task and pod credentials
	netip.MustParsePrefix("169.254.169.0/24"),       // their neighbours: time, DNS
	netip.MustParsePrefix("169.254.0.23/32"),        // Tencent
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure's wire server: a public address
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba
	netip.MustParsePrefix("192.0.0.192/32"),         // Oracle, older
	netip.MustParsePrefix("fd00:ec2::/32"),          // AWS over IPv6 (fd00:ec2::254, ::23, ::253)
	netip.MustParsePrefix("fd20:ce::254/128"),       // GCP over IPv6
	netip.MustParsePrefix("fe80::a9fe:a9fe/128"),    // OpenStack over IPv6
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle over IPv6
}

// special are ranges beyond those that the library knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("2001::/32"), // Teredo: IPv4 inside
	netip.MustParsePrefix("2002::/16"), // 6to4: IPv4 inside
	netip.MustParsePrefix("5f00::/16"), // segment routing
	netip.MustParsePrefix("3ffe::/16"), // the old 6bone
	netip.MustParsePrefix("2620:4f:8000::/48"),
}

// Guard checks addresses against a policy. It is read-only and safe for
// concurrent use.
type Guard struct {
	policy  Policy
	library *ssrf.Guardian
}

// NewGuard makes a guard of a valid policy.
func NewGuard(p Policy) (*Guard, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &Guard{policy: p, library: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork())}, nil
}

// Control goes into net.Dialer.Control: it sees the address that is about to
// be connected to. Its error wraps ErrBlocked.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s", ErrBlocked, network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no address and port", ErrBlocked, address)
	}
	if err := g.checkPort(ap.Port()); err != nil {
		return err
	}
	return g.CheckAddr(ap.Addr())
}

func (g *Guard) checkPort(port uint16) error {
	if !g.policy.allowsPort(port) {
		return fmt.Errorf("%w: port %s", ErrBlocked, strconv.Itoa(int(port)))
	}
	return nil
}

// CheckAddr judges one address, and every IPv4 address inside it when it is
// one of the forms that carry one. Its error wraps ErrBlocked.
func (g *Guard) CheckAddr(a netip.Addr) error {
	if !a.IsValid() {
		return fmt.Errorf("%w: no address", ErrBlocked)
	}
	a = a.WithZone("")
	if a.Is4In6() {
		a = a.Unmap()
	}
	inner := carried(a)
	for _, candidate := range append(inner, a) {
		if contains(metadata, candidate) || contains(g.policy.Deny, candidate) {
			return fmt.Errorf("%w: %s", ErrBlocked, a)
		}
	}
	if g.policy.AllowPrivate {
		// Even then not what no webhook can be at.
		if a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return fmt.Errorf("%w: %s", ErrBlocked, a)
		}
		return nil
	}
	if contains(g.policy.Allow, a) {
		return nil
	}
	if len(inner) > 0 || contains(special, a) || g.library.SafeAddr(a) != nil {
		return fmt.Errorf("%w: %s is not a public address", ErrBlocked, a)
	}
	return nil
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// carried are the IPv4 addresses that a transition form of IPv6 leads to:
// compatible, translated, NAT64 well-known and local-use, 6to4, Teredo,
// ISATAP. (Mapped addresses are unmapped before.) An address can be several at
// once, and where a gateway cut a local-use NAT64 prefix is not to be seen, so
// all readings are given.
func carried(a netip.Addr) (found []netip.Addr) {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	at := func(places ...int) {
		found = append(found, netip.AddrFrom4([4]byte{b[places[0]], b[places[1]], b[places[2]], b[places[3]]}))
	}
	switch {
	case nat64.Contains(a), translated.Contains(a):
		at(12, 13, 14, 15)
	case nat64Local.Contains(a): // RFC 6052: prefixes of 48, 56, 64 and 96 bits; byte 8 is left out
		at(6, 7, 9, 10)
		at(7, 9, 10, 11)
		at(9, 10, 11, 12)
		at(12, 13, 14, 15)
	case compatible.Contains(a) && !a.IsLoopback() && !a.IsUnspecified():
		at(12, 13, 14, 15)
	case sixToFour.Contains(a):
		at(2, 3, 4, 5)
	case teredo.Contains(a): // the server's, and the client's with its bits turned
		at(4, 5, 6, 7)
		found = append(found, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		at(12, 13, 14, 15) // ISATAP: the interface id names an IPv4 address
	}
	return found
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	compatible = netip.MustParsePrefix("::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)
