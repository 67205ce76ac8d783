package receiver

// Showing a delivery to a person at a terminal.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printBody is how much of a body a person is shown, in bytes.
const printBody = 4 << 10

// Print writes a delivery for people: one line of verdict, the headers that
// are of the sender's own, and the body, indented when it is JSON.
// Characters that could steer a terminal are escaped.
func Print(w io.Writer, d Delivery) error {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s %s %s · %s", d.Number, d.Time.Format("15:04:05.000"), d.Method, printable(d.Path), d.Verdict)
	if d.Reason != "" {
		fmt.Fprintf(&b, " (%s)", printable(d.Reason))
	}
	fmt.Fprintf(&b, " → %d\n", d.Status)
	names := make([]string, 0, len(d.Header))
	for name := range d.Header {
		if !slices.Contains([]string{"Accept-Encoding", "Content-Length", "Connection"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range d.Header[name] {
			fmt.Fprintf(&b, "  %s: %s\n", printable(name), printable(v))
		}
	}
	body := d.Body
	var indented bytes.Buffer
	if json.Indent(&indented, body, "  ", "  ") == nil {
		body = indented.Bytes()
	}
	cut := ""
	if len(body) > printBody {
		cut = fmt.Sprintf("\n  … %d bytes in all", len(d.Body))
		body = body[:printBody]
	}
	fmt.Fprintf(&b, "  %s%s\n\n", printable(string(body)), cut)
	_, err := io.WriteString(w, b.String())
	return err
}

// printable escapes what is no visible character, except line breaks.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, width := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, "\\x%02x", s[0])
		case r == '\n' || r == ' ' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
		s = s[width:]
	}
	return b.String()
}
