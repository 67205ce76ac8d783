package profile

// Forms: how a profile wants the JSON of its bodies written, where the bytes
// that the publisher gave will not do.

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// form rewrites a body. The data's meaning never changes: what could not be
// written in the form without changing it is refused.
type form uint8

// Forms.
const (
	formVerbatim   form = iota // as published
	formJavaScript             // what JavaScript's JSON.stringify makes of what its JSON.parse reads
	formASCII                  // as published, with \uXXXX for every other character
)

// maxDepth bounds how deep a rewritten body may be nested: receivers' parsers
// give up at about a thousand levels.
const maxDepth = 500

// envelopeDepth is how much an envelope may add to the depth of its data.
const envelopeDepth = 2

func formNamed(name string) (form, error) {
	switch name {
	case "":
		return formVerbatim, nil
	case "javascript":
		return formJavaScript, nil
	case "ascii":
		return formASCII, nil
	}
	return formVerbatim, fmt.Errorf("is %q; give javascript or ascii, or leave it out to send data as published", name)
}

// write is src, which is one JSON value, in the form. The answer may be src
// itself.
func (f form) write(src []byte, depth int) ([]byte, error) {
	switch f {
	case formJavaScript:
		return javaScript(src, depth)
	case formASCII:
		return ascii(src)
	default:
		return src, nil
	}
}

// ascii writes every character beyond ASCII as \uXXXX in lower case, those
// beyond the basic plane as a pair of surrogates. All else stays as it is:
// such characters stand only within strings.
func ascii(src []byte) ([]byte, error) {
	i := 0
	for i < len(src) && src[i] < utf8.RuneSelf {
		i++
	}
	if i == len(src) {
		return src, nil
	}
	out := make([]byte, i, len(src)+len(src)/2+16)
	copy(out, src)
	for i < len(src) {
		if src[i] < utf8.RuneSelf {
			out = append(out, src[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			return nil, errUTF8
		}
		if r > 0xffff {
			out = appendEscape(out, 0xd800+(r-0x10000)>>10)
			r = 0xdc00 + (r-0x10000)&0x3ff
		}
		out = appendEscape(out, r)
		i += n
	}
	return out, nil
}

var errUTF8 = errors.New("holds bytes that are no valid UTF-8; send UTF-8")

// appendEscape writes \uXXXX in lower case.
func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
