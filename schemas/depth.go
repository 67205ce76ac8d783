package schemas

// How deep JSON is nested. JSON parsers recurse: a few megabytes of brackets,
// which compress to nearly nothing, overflow a goroutine's stack, and that ends
// the process whatever it recovers from.

// MaxDepth is how many levels of objects and lists JSON from outside may have.
// Receivers' parsers give up at about as many.
const MaxDepth = 1000

// TooDeep reports whether JSON is nested beyond MaxDepth. It looks at brackets
// outside of strings only, so it is right about everything up to the first
// syntax error, which is as far as any parser goes.
func TooDeep(b []byte) bool {
	if len(b) <= MaxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
