package egress_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/delivery/egress"
)

func TestCheckURL(t *testing.T) {
	strict, loose := egress.Policy{}, egress.Policy{AllowPrivate: true, AllowHTTP: true}
	for raw, want := range map[string][2]bool{ // strict, loose
		"https://example.com/hooks?x=1&y=%20": {true, true},
		"https://example.com:8443/":           {true, true},
		"https://93.184.216.34/":              {true, true},
		"https://[2606:4700:4700::1111]/":     {true, true},
		"https://xn--bcher-kva.example/":      {true, true},
		"HTTPS://EXAMPLE.COM":                 {true, true},

		"http://example.com/":          {false, true},
		"http://127.0.0.1:9000/hook":   {false, true},
		"http://localhost:3000/":       {false, true},
		"https://127.0.0.1/":           {false, true},
		"https://localhost/":           {false, true},
		"https://api.localhost./":      {false, true},
		"https://db.internal/":         {false, true},
		"https://printer.local/":       {false, true},
		"https://intranet/":            {false, true},
		"https://10.0.0.1/":            {false, true},
		"https://[::1]/":               {false, true},
		"https://[::ffff:10.0.0.1]/":   {false, true},
		"https://0x7f.1/":              {false, true},
		"https://2130706433/":          {false, true},
		"https://0177.0.0.1/":          {false, true},
		"https://127.1/":               {false, true},
		"https://0x7f000001/":          {false, true},
		"https://127.0.0.1./":          {false, true},
		"https://134744072/":           {false, true}, // 8.8.8.8, but nobody means well who writes it so
		"https://example.com:25/":      {false, true},
		"https://169.254.169.254/":     {false, false},
		"https://0xa9fea9fe/":          {false, false},
		"https://2852039166/":          {false, false},
		"https://[fd00:ec2::254]/":     {false, false},
		"https://[::ffff:a9fe:a9fe]/":  {false, false},
		"https://168.63.129.16/":       {false, false},
		"https://[fe80::1%25eth0]/":    {false, false},
		"":                             {false, false},
		"example.com":                  {false, false},
		"//example.com/":               {false, false},
		"/hook":                        {false, false},
		"ftp://example.com/":           {false, false},
		"file:///etc/passwd":           {false, false},
		"gopher://example.com/":        {false, false},
		"https://":                     {false, false},
		"https:///path":                {false, false},
		"https://user:pw@example.com/": {false, false},
		"https://user@example.com/":    {false, false},
		"https://example.com/#top":     {false, false},
		"https://example.com/#":        {false, false},
		"https://example.com:/":        {false, false},
		"https://example.com:0/":       {false, false},
		"https://example.com:65536/":   {false, false},
		"https://exa mple.com/":        {false, false},
		"https://example.com/a\r\nb":   {false, false},
		"https://example.com\\@evil/":  {false, false},
		"https://bücher.example/":      {false, false},
		"https://exa%00mple.com/":      {false, false},
		"https://example..com/":        {false, false},
		"https://１２７.0.0.1/":           {false, false},
		"https://example.com/" + strings.Repeat("a", egress.MaxURL): {false, false},
	} {
		for i, policy := range []egress.Policy{strict, loose} {
			err := egress.CheckURL(raw, policy)
			if (err == nil) != want[i] {
				t.Errorf("%q (loose %v): %v", raw, i == 1, err)
			}
		}
	}
}

// TestLiteralSpellings: no spelling of an address passes CheckURL that the
// guard would refuse.
func TestLiteralSpellings(t *testing.T) {
	policy := egress.Policy{AllowHTTP: true}
	g := guard(t, policy)
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.StringMatching(`(0x[0-9a-f]{1,8}|0?[0-7]{1,11}|[0-9]{1,10})(\.(0x[0-9a-f]{1,6}|0?[0-9]{1,8})){0,3}`).Draw(t, "host")
		if egress.CheckURL("http://"+host+"/", policy) != nil {
			return
		}
		addr, err := netip.ParseAddr(host)
		if err != nil {
			t.Fatalf("%s looks like a number and was taken as a name", host)
		}
		if err := g.CheckAddr(addr); err != nil {
			t.Fatalf("%s: %v", host, err)
		}
	})
}
