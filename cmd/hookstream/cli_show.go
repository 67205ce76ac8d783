package main

// Showing what the API answers: JSON as it came, an object's fields in its
// order, moments in local time.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// printJSON writes one value as one line. A value that is one line already
// stays to the byte.
func printJSON(w io.Writer, raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if bytes.ContainsAny(raw, "\r\n") {
		var b bytes.Buffer
		if json.Compact(&b, raw) == nil {
			raw = b.Bytes()
		}
	}
	_, err := w.Write(append(bytes.Clone(raw), '\n'))
	return err
}

// field is one of an object, in its order.
type field struct {
	name string
	raw  json.RawMessage
}

// fieldsOf takes an object apart.
func fieldsOf(object []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("the answer is no JSON object: %.80q", object)
	}
	var out []field
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		out = append(out, field{fmt.Sprint(name), raw})
	}
	return out, nil
}

// printFields writes an object as aligned lines, without the named fields and
// those that say nothing.
func printFields(w io.Writer, object []byte, without ...string) error {
	all, err := fieldsOf(object)
	if err != nil {
		return err
	}
	hidden := map[string]bool{}
	for _, name := range without {
		hidden[name] = true
	}
	width := 0
	var shown []field
	for _, f := range all {
		if text := string(f.raw); hidden[f.name] || text == "null" || text == `""` || text == "[]" {
			continue
		}
		shown, width = append(shown, f), max(width, utf8.RuneCountInString(f.name))
	}
	var b strings.Builder
	for _, f := range shown {
		fmt.Fprintf(&b, "%-*s  %s\n", width, visible(strings.ReplaceAll(f.name, "_", " ")), visible(plainText(f.raw)))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// plainText is a value as people read it: text without quotes, times in local
// time, lists of texts parted by commas.
func plainText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil && len(s) >= len("2006-01-02T15:04:05Z") {
			return t.Local().Format("2006-01-02 15:04:05 MST")
		}
		return s
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, ", ")
	}
	return string(raw)
}

// moment is a time of the API in local short form: the clock alone on the same
// day. Nil and zero are nothing.
func (e *errand) moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	at, now := t.Local(), time.Now()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04:05")
	}
	if at.Year() == now.Year() {
		return at.Format("01-02 15:04")
	}
	return at.Format("2006-01-02")
}

// pastTime reads a moment that a person gives: 90m or 7d ago, a date, or RFC 3339.
func pastTime(flag, s string, now time.Time) (string, error) {
	if s == "" {
		return "", nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days, "%d", &n); err == nil && fmt.Sprint(n) == days && n >= 0 && n <= 36500 {
			return now.AddDate(0, 0, -n).UTC().Format(time.RFC3339Nano), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d).UTC().Format(time.RFC3339Nano), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC().Format(time.RFC3339Nano), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t.UTC().Format(time.RFC3339Nano), nil
	}
	return "", Usage("--%s is %q; give 90m, 24h or 7d for that long ago, a date such as 2026-03-01, or RFC 3339", flag, s)
}
