package inbound

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzParseSource: a source is what its own text reads as, or is refused in
// words; no text makes a source without name and profile.
func FuzzParseSource(f *testing.F) {
	for _, s := range []string{"interviews=aiinterview,secret-env=WEBHOOK_SECRET", "a=b,path=/x,/y,allow=10.0.0.0/8,::1,rate=2.5,https=required,tenant=t,topic=x,answers=v", "", "=", "a", "a=b,", "a=b,rate=NaN", "a=b,rate=1e-400",
		"a=b,allow=1.2.3.4/33", "a=b,allow=fe80::1%eth0", "a=b,tenant", "a=b,nope=1", " a = b , path = / "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSource(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("%q is refused without a word", text)
			}
			return
		}
		if s.Name == "" || s.Profile == "" {
			t.Fatalf("%q is %+v", text, s)
		}
		again, err := ParseSource(s.String())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q is %+v; its text %q is %+v (%v)", text, s, s, again, err)
		}
	})
}
