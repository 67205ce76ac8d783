package profile

// Once: products whose receivers take one event per key, for ever, so that a
// second one with the same key would only be thrown away.

import (
	"strconv"
	"strings"
)

func (p *Profile) compileOnce(f *file) error {
	for i, path := range f.Once {
		if path == "" || strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, "..") {
			return wrongf([]string{"once", strconv.Itoa(i)}, "is %q; name a field of the body, for example session_id or data.id", path)
		}
	}
	p.once = f.Once
	return nil
}

// Once is the fields of the body of which the product takes every combination
// once; empty: it does not care. The caller does not change it.
func (p *Profile) Once() []string { return p.once }

// OnceKey is the values of those fields. False: there is no such rule, or the
// body lacks one of them.
func (p *Profile) OnceKey(body []byte) (key []string, ok bool) {
	for _, path := range p.once {
		value, ok := dig(body, path)
		if !ok {
			return nil, false
		}
		key = append(key, value)
	}
	return key, len(key) > 0
}
