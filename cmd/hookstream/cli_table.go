package main

// Tables for a terminal: aligned, fit for its width, ids never cut.

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// column is one of a table.
type column struct {
	title string
	right bool
	least int // it may be cut to this width when the table is too wide; 0: never
}

// table collects rows and writes them when it knows their widths.
type table struct {
	columns []column
	rows    [][]string
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = visible(c)
	}
	t.rows = append(t.rows, cells)
}

// write aligns the columns; those that may be are cut, the widest first, until
// the lines fit.
func (t *table) write(w io.Writer, width int) error {
	widths := make([]int, len(t.columns))
	total := -2
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
		total += widths[i] + 2
	}
	for total > width {
		widest := -1
		for i, c := range t.columns {
			if c.least > 0 && widths[i] > max(c.least, len(c.title)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	var b strings.Builder
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	for _, r := range append([][]string{titles}, t.rows...) {
		var line strings.Builder
		for i, cell := range r {
			if i > 0 {
				line.WriteString("  ")
			}
			cell = cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.columns[i].right {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cut shortens a text to a number of characters; an ellipsis shows it.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(width-1, 0)]) + "…"
}

// visible escapes what could steer a terminal: texts come from receivers.
func visible(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", s[0])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// screenWidth is the terminal's width where the shell says it, else 100.
func (e *errand) screenWidth() int {
	if n, err := strconv.Atoi(e.env("COLUMNS")); err == nil && n >= 40 {
		return n
	}
	return 100
}

// colours are the escapes of a terminal; all empty elsewhere, and with
// NO_COLOR.
type colours struct{ green, yellow, red, dim, off string }

func (e *errand) colours() colours {
	if !isTerminal(e.out) || e.env("NO_COLOR") != "" || e.env("TERM") == "dumb" {
		return colours{}
	}
	return colours{"\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"}
}
