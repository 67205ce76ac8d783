package inbound

// Where a request comes from: the sender's address and whether it spoke https,
// by the connection or by the word of a proxy that is trusted.

import (
	"net/http"
	"net/netip"
	"strings"
)

// origin is who sent a request.
type origin struct {
	addr   netip.Addr // the zero value when it cannot be told
	secure bool
}

// originOf believes the X-Forwarded headers only when the connection comes
// from a trusted proxy. Of the addresses there, the last that is no trusted
// proxy counts: those before it are the sender's own claim.
func originOf(r *http.Request, trusted []netip.Prefix) origin {
	o := origin{secure: r.TLS != nil}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return o
	}
	o.addr = peer.Addr().Unmap().WithZone("")
	if !within(trusted, o.addr) {
		return o
	}
	if proto := lastOf(r.Header.Values("X-Forwarded-Proto")); proto != "" {
		o.secure = strings.EqualFold(proto, "https")
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		o.addr = addr.Unmap().WithZone("")
		if !within(trusted, o.addr) {
			break
		}
	}
	return o
}

func lastOf(values []string) string {
	all := strings.Split(strings.Join(values, ","), ",")
	return strings.TrimSpace(all[len(all)-1])
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
