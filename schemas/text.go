package schemas

// Bounds of text: what enters a record is bounded in bytes.

import "unicode/utf8"

// Shorten cuts text to at most n bytes, never inside a character.
func Shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
