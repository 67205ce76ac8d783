package profile

// Looking into raw JSON without re-encoding it.

import (
	"bytes"
	"strings"

	"github.com/segmentio/encoding/json"

	"github.com/hookstream/hookstream/schemas"
)

// valid reports whether data is JSON that may be parsed.
func valid(data []byte) bool { return !schemas.TooDeep(data) && json.Valid(data) }

// isObject reports whether valid JSON is an object.
func isObject(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

// members are the raw values of an object's fields; of a name that stands
// twice the last one, as most readers take it. They alias data.
func members(data []byte) (map[string]json.RawMessage, bool) {
	if !isObject(data) || schemas.TooDeep(data) {
		return nil, false
	}
	var m map[string]json.RawMessage
	_, err := json.Parse(data, &m, json.ZeroCopy)
	return m, err == nil
}

// member is one of them.
func member(data []byte, name string) (json.RawMessage, bool) {
	m, ok := members(data)
	if !ok {
		return nil, false
	}
	v, ok := m[name]
	return v, ok
}

// text is a JSON string's text; false for any other value.
func text(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	var s string
	if _, err := json.Parse(value, &s, 0); err != nil {
		return "", false
	}
	return s, true
}

// dig follows a path of field names, a.b.c, to a string or number and returns
// it as text; false when there is none.
func dig(data []byte, path string) (string, bool) {
	for {
		name, rest, more := strings.Cut(path, ".")
		value, ok := member(data, name)
		if !ok {
			return "", false
		}
		if !more {
			if s, ok := text(value); ok {
				return s, s != ""
			}
			if len(value) > 0 && (value[0] == '-' || value[0] >= '0' && value[0] <= '9') {
				return string(value), true
			}
			return "", false
		}
		data, path = value, rest
	}
}
