package endpoint

// Events that are to be delivered once only: the id that makes a repeat of one
// recognisable.

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/hookstream/hookstream/schemas"
)

// OnceID is the id of an event whose publisher gave it none, when every
// endpoint that it would go to now is of a profile that takes such an event
// once; empty: the event may come any number of times. It is made from the
// tenant, the profiles and the values of their keys, and from the endpoint or
// callback URL that the event names: for another receiver it is another event.
func (r *Registry) OnceID(ev *schemas.Event) string {
	if ev.Kind != schemas.KindEvent {
		return ""
	}
	keys := map[string][]string{} // by profile
	for _, m := range r.wouldMatch(ev) {
		if m.Skip != "" || keys[m.Profile] != nil {
			continue
		}
		p, ok := r.cfg.Profiles.Get(m.Profile)
		if !ok || len(p.Once()) == 0 {
			return ""
		}
		body, err := p.Body(wireSample(ev))
		if err != nil {
			return ""
		}
		key, ok := p.OnceKey(body)
		if !ok {
			return ""
		}
		keys[m.Profile] = key
	}
	if len(keys) == 0 {
		return ""
	}
	callback := ev.CallbackURL
	if normal, err := NormalizeURL(callback); callback != "" && err == nil {
		callback = normal
	}
	parts := []string{"once", ev.Tenant, r.namedEndpoint(ev), callback}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		parts = append(append(parts, name), keys[name]...)
	}
	return onceID(parts)
}

// onceID parts its parts by their length, so that ("a","bc") and ("ab","c") differ.
func onceID(parts []string) string {
	var text strings.Builder
	var n [4]byte
	for _, part := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		text.Write(n[:])
		text.WriteString(part)
	}
	sum := sha256.Sum256([]byte(text.String()))
	return schemas.NewID(schemas.EventPrefix, [16]byte(sum[:16]))
}
