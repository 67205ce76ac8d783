package devstack

// As much of a statement's text as routing needs: its first word, its FORMAT clause.

import "strings"

// sqlText is what was seen of a statement. The engine parses; this only
// chooses how a statement is run.
type sqlText struct {
	first    string // first word, upper case; "(" for a bracket
	format   string // name in a FORMAT clause at the end, as written
	formatAt int    // where that clause, or a final VALUES, begins
	values   bool   // ends with VALUES: the rows are in the body
	atEnd    bool   // nothing follows the clause
	totals   bool   // has the word TOTALS
}

// scanSQL reads text, passing over comments, strings and quoted names.
func scanSQL(text string) sqlText {
	s := sqlText{formatAt: -1}
	type word struct {
		upper    string
		at, ends int
	}
	var last, before word // the last two words outside brackets
	depth := 0
	kept := false // a SETTINGS clause follows the format, which stays the format
	// more is called for whatever follows: then the clause was none, or is not the last.
	more := func() {
		s.atEnd = false
		if !kept {
			s.format, s.formatAt, s.values = "", -1, false
		}
	}
	for i := 0; i < len(text); {
		if n := skipQuoted(text[i:]); n > 0 {
			if s.first == "" && strings.IndexByte("'\"`$", text[i]) >= 0 {
				s.first = text[i : i+1]
			}
			if strings.IndexByte("'\"`$", text[i]) >= 0 {
				before, last = word{}, word{}
				more()
			}
			i += n
			continue
		}
		c := text[i]
		switch {
		case isWordByte(c):
			start := i
			for i < len(text) && isWordByte(text[i]) {
				i++
			}
			w := word{strings.ToUpper(text[start:i]), start, i}
			if s.first == "" {
				s.first = w.upper
			}
			if w.upper == "TOTALS" {
				s.totals = true
			}
			if depth > 0 {
				continue
			}
			before, last = last, w
			switch {
			case before.upper == "FORMAT":
				s.format, s.formatAt, s.values, s.atEnd = text[start:i], before.at, false, true
			case w.upper == "VALUES":
				s.format, s.formatAt, s.values, s.atEnd = "", start, true, true
			case w.upper == "SETTINGS" && s.format != "":
				kept = true
				more()
			default:
				more()
			}
			continue
		case c == '(':
			if s.first == "" {
				s.first = "("
			}
			depth++
			before, last = word{}, word{}
			more()
		case c == ')':
			depth--
			before, last = word{}, word{}
			more()
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		case c == ';' && s.atEnd: // a final semicolon ends nothing more
		default:
			before, last = word{}, word{}
			more()
		}
		i++
	}
	return s
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// skipQuoted is the length of the comment, string, quoted name or heredoc that
// s begins with; 0 when it begins with none.
func skipQuoted(s string) int {
	switch {
	case strings.HasPrefix(s, "--") || strings.HasPrefix(s, "# ") || strings.HasPrefix(s, "#!"):
		if n := strings.IndexByte(s, '\n'); n >= 0 {
			return n + 1
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		if n := strings.Index(s[2:], "*/"); n >= 0 {
			return n + 4
		}
		return len(s)
	case s[0] == '\'' || s[0] == '"' || s[0] == '`':
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case s[0]:
				return i + 1 // a doubled quote begins the next string at once
			}
		}
		return len(s)
	case s[0] == '$':
		end := strings.IndexByte(s[1:], '$')
		if end < 0 {
			return 0
		}
		tag := s[:end+2]
		for _, c := range []byte(tag[1 : len(tag)-1]) {
			if !isWordByte(c) {
				return 0
			}
		}
		if n := strings.Index(s[len(tag):], tag); n >= 0 {
			return n + 2*len(tag)
		}
		return 0
	}
	return 0
}

// insertTarget splits "INSERT INTO t (…) FORMAT x" into the part before the
// clause and the format; ok is false for an INSERT whose rows are not in the body.
func (s sqlText) insertTarget(text string) (target, format string, ok bool) {
	if s.first != "INSERT" || !s.atEnd || s.formatAt < 0 {
		return "", "", false
	}
	if s.values {
		return text[:s.formatAt], "Values", true
	}
	return text[:s.formatAt], s.format, true
}

// isSelect tells statements that the engine can stream.
func (s sqlText) isSelect() bool {
	return s.first == "SELECT" || s.first == "WITH" || s.first == "("
}
