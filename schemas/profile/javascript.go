package profile

// The JavaScript form: the bytes that JSON.stringify(JSON.parse(body)) gives
// back unchanged. Some receivers check the signature over just that.

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

var errSyntax = errors.New("is not valid JSON")

// javaScript writes one JSON value compactly, with characters raw, numbers in
// ECMAScript's shortest form, and keys that are array indexes first and
// ascending, as JavaScript orders an object's keys. It refuses what JavaScript
// would read as something else: a key twice, a number that a double cannot
// hold, invalid UTF-8.
func javaScript(src []byte, depth int) ([]byte, error) {
	w := jsWriter{src: src, out: make([]byte, 0, len(src)), depth: depth}
	if err := w.value(); err != nil {
		return nil, err
	}
	if w.next() != 0 || w.at < len(src) {
		return nil, errSyntax
	}
	return w.out, nil
}

// jsWriter reads src from at and appends to out.
type jsWriter struct {
	src   []byte
	at    int
	out   []byte
	depth int // how many more levels are allowed
}

// next skips white space and is the byte that follows, 0 at the end.
func (w *jsWriter) next() byte {
	for w.at < len(w.src) {
		switch c := w.src[w.at]; c {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return c
		}
	}
	return 0
}

// take copies the byte that has to come next.
func (w *jsWriter) take(c byte) error {
	if w.next() != c {
		return errSyntax
	}
	w.at++
	w.out = append(w.out, c)
	return nil
}

func (w *jsWriter) value() error {
	switch c := w.next(); c {
	case '{':
		return w.nested(w.object)
	case '[':
		return w.nested(w.array)
	case '"':
		return w.text()
	case 't':
		return w.word("true")
	case 'f':
		return w.word("false")
	case 'n':
		return w.word("null")
	default:
		return w.number()
	}
}

func (w *jsWriter) nested(read func() error) error {
	if w.depth == 0 {
		return fmt.Errorf("is nested more than %d levels deep", maxDepth)
	}
	w.depth--
	defer func() { w.depth++ }()
	return read()
}

func (w *jsWriter) word(s string) error {
	if !bytes.HasPrefix(w.src[w.at:], []byte(s)) {
		return errSyntax
	}
	w.at += len(s)
	w.out = append(w.out, s...)
	return nil
}

func (w *jsWriter) array() error {
	if err := w.take('['); err != nil {
		return err
	}
	if w.next() == ']' {
		return w.take(']')
	}
	for {
		if err := w.value(); err != nil {
			return err
		}
		if w.next() == ']' {
			return w.take(']')
		}
		if err := w.take(','); err != nil {
			return err
		}
	}
}

// jsMember is where one member stands in out.
type jsMember struct {
	start, keyEnd, end int
	index              int64 // of a key that is an array index; notIndex otherwise
}

const notIndex = int64(1) << 32 // behind every index

func (w *jsWriter) object() error {
	if err := w.take('{'); err != nil {
		return err
	}
	if w.next() == '}' {
		return w.take('}')
	}
	first := len(w.out)
	var members []jsMember
	var keys jsKeys
	for {
		if w.next() != '"' {
			return errSyntax
		}
		m := jsMember{start: len(w.out)}
		if err := w.text(); err != nil {
			return err
		}
		m.keyEnd = len(w.out)
		m.index = arrayIndex(w.out[m.start+1 : m.keyEnd-1])
		if keys.seen(w.out, members, w.out[m.start:m.keyEnd]) {
			return fmt.Errorf("has the key %.100s twice in one object; JavaScript would keep one of them", w.out[m.start:m.keyEnd])
		}
		if err := w.take(':'); err != nil {
			return err
		}
		if err := w.value(); err != nil {
			return err
		}
		m.end = len(w.out)
		members = append(members, m)
		if w.next() == '}' {
			w.order(first, members)
			return w.take('}')
		}
		if err := w.take(','); err != nil {
			return err
		}
	}
}

// order puts array indexes first, ascending; the others keep their places.
func (w *jsWriter) order(first int, members []jsMember) {
	byIndex := func(a, b jsMember) int { return int(a.index - b.index) }
	if slices.IsSortedFunc(members, byIndex) {
		return
	}
	was := bytes.Clone(w.out[first:])
	slices.SortStableFunc(members, byIndex)
	w.out = w.out[:first]
	for i, m := range members {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, was[m.start-first:m.end-first]...)
	}
}

// arrayIndex is the number that a key is the decimal form of, up to 2^32-2.
func arrayIndex(key []byte) int64 {
	if len(key) == 0 || len(key) > 10 || key[0] == '0' && len(key) > 1 {
		return notIndex
	}
	n := int64(0)
	for _, c := range key {
		if c < '0' || c > '9' {
			return notIndex
		}
		n = n*10 + int64(c-'0')
	}
	if n > 1<<32-2 {
		return notIndex
	}
	return n
}

// jsKeys finds a key that stands twice. Keys are compared as they were
// written, where each has one spelling only.
type jsKeys struct{ many map[string]struct{} }

const fewKeys = 16 // up to here a scan is faster than a map

func (k *jsKeys) seen(out []byte, before []jsMember, key []byte) bool {
	if k.many == nil {
		if slices.ContainsFunc(before, func(m jsMember) bool { return bytes.Equal(out[m.start:m.keyEnd], key) }) {
			return true
		}
		if len(before) < fewKeys {
			return false
		}
		k.many = make(map[string]struct{}, 4*fewKeys)
		for _, m := range before {
			k.many[string(out[m.start:m.keyEnd])] = struct{}{}
		}
	}
	_, twice := k.many[string(key)]
	k.many[string(key)] = struct{}{}
	return twice
}

// text copies a string: raw where it may be, else with the escapes that
// JavaScript writes.
func (w *jsWriter) text() error {
	w.at++
	w.out = append(w.out, '"')
	for w.at < len(w.src) {
		switch c := w.src[w.at]; {
		case c == '"':
			w.at++
			w.out = append(w.out, '"')
			return nil
		case c == '\\':
			if err := w.escaped(); err != nil {
				return err
			}
		case c < ' ':
			return errSyntax
		case c < utf8.RuneSelf:
			w.out = append(w.out, c)
			w.at++
		default:
			r, n := utf8.DecodeRune(w.src[w.at:])
			if r == utf8.RuneError && n == 1 {
				return errUTF8
			}
			w.out = append(w.out, w.src[w.at:w.at+n]...)
			w.at += n
		}
	}
	return errSyntax
}

// escaped reads one escape, and the second one of a pair of surrogates.
func (w *jsWriter) escaped() error {
	if w.at+1 >= len(w.src) {
		return errSyntax
	}
	c := w.src[w.at+1]
	if c != 'u' {
		i := bytes.IndexByte([]byte(`"\/bfnrt`), c)
		if i < 0 {
			return errSyntax
		}
		w.char(rune("\"\\/\b\f\n\r\t"[i]))
		w.at += 2
		return nil
	}
	r, ok := w.unit(w.at)
	if !ok {
		return errSyntax
	}
	w.at += 6
	if utf16.IsSurrogate(r) {
		if low, ok := w.unit(w.at); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				w.at += 6
				r = pair
			}
		}
	}
	w.char(r)
	return nil
}

// unit reads \uXXXX at a place.
func (w *jsWriter) unit(at int) (rune, bool) {
	if at+6 > len(w.src) || w.src[at] != '\\' || w.src[at+1] != 'u' {
		return 0, false
	}
	r := rune(0)
	for _, c := range w.src[at+2 : at+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// char writes one character as JavaScript does.
func (w *jsWriter) char(r rune) {
	switch {
	case r == '"' || r == '\\':
		w.out = append(w.out, '\\', byte(r))
	case r == '\b':
		w.out = append(w.out, '\\', 'b')
	case r == '\f':
		w.out = append(w.out, '\\', 'f')
	case r == '\n':
		w.out = append(w.out, '\\', 'n')
	case r == '\r':
		w.out = append(w.out, '\\', 'r')
	case r == '\t':
		w.out = append(w.out, '\\', 't')
	case r < ' ' || utf16.IsSurrogate(r): // one alone: it has no UTF-8
		w.out = appendEscape(w.out, r)
	default:
		w.out = utf8.AppendRune(w.out, r)
	}
}
