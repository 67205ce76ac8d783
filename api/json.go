package api

// Bodies: strict JSON in, JSON out, limits answered as problems.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/segmentio/encoding/json"
)

// ReadBody reads a request's body whole; its error is a *Problem (BodyProblem).
func ReadBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, BodyProblem(err)
	}
	return b, nil
}

// BodyProblem turns an error of reading a body into its problem, for handlers
// that stream: 413 over the limit, 408 too slow, else 400.
func BodyProblem(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return Fail(http.StatusRequestEntityTooLarge, "too_large", "", "the body exceeds %d bytes; send less in one request", tooLarge.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Fail(http.StatusRequestTimeout, "slow_body", "", "the body took too long to come; send less in one request")
	}
	return Fail(http.StatusBadRequest, "bad_body", "", "the body broke off: send it whole")
}

// ReadJSON reads the body as one JSON object into a pointer to a struct: 400
// when it is no JSON, 422 naming the field when one is unknown or has the wrong
// type. Field names match in their exact case.
func ReadJSON(r *http.Request, into any) error {
	b, err := ReadBody(r)
	if err != nil {
		return err
	}
	return ParseJSON(b, into)
}

// ParseJSON is ReadJSON for bytes that are already here.
func ParseJSON(b []byte, into any) error {
	if len(strings.TrimSpace(string(b))) == 0 {
		return Fail(http.StatusBadRequest, "bad_json", "", "the body is empty; send a JSON object")
	}
	if tooDeep(b) {
		return Fail(http.StatusBadRequest, "bad_json", "", "the body is nested more than %d levels deep", maxDepth)
	}
	if !utf8.Valid(b) {
		return Fail(http.StatusBadRequest, "bad_json", "", "the body is not UTF-8; send JSON in UTF-8")
	}
	rest, err := json.Parse(b, into, json.DisallowUnknownFields|json.DontMatchCaseInsensitiveStructFields)
	if err == nil {
		if len(strings.TrimLeft(string(rest), " \t\r\n")) != 0 {
			return Fail(http.StatusBadRequest, "bad_json", "", "there is more after the JSON object; send one")
		}
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field == "" {
			return Fail(http.StatusBadRequest, "bad_json", "", "the body is a JSON %s; send %s", kindOf(wrong.Value), nounOf(wrong.Type))
		}
		return Fail(http.StatusUnprocessableEntity, "invalid_field", wrong.Field, "is a JSON %s; give %s", kindOf(wrong.Value), nounOf(wrong.Type))
	}
	// The library's only marker of an unknown field is its text.
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return Fail(http.StatusUnprocessableEntity, "unknown_field", name, "there is no such field; leave it out or see /openapi.json for the names")
	}
	return Fail(http.StatusBadRequest, "bad_json", "", "the body is not valid JSON")
}

// maxDepth is how many levels of objects and lists a body may have. The parser
// recurses, and a stack that overflows ends the process.
const maxDepth = 1000

// tooDeep looks at brackets outside of strings, which is right up to the first
// syntax error, and no parser goes further.
func tooDeep(b []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(b) && depth <= maxDepth; i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return depth > maxDepth
}

// kindOf names the JSON kind of a value by its first byte. The parser gives
// what begins with the value, quoted as Go does it; that may be a secret and
// must not be repeated.
func kindOf(value string) string {
	if strings.HasPrefix(value, "number ") {
		return "number out of range"
	}
	value = strings.TrimPrefix(value, `"`)
	switch {
	case value == "" || value == `"`:
		return "value"
	case value[0] == '\\':
		return "string"
	case value[0] == '{':
		return "object"
	case value[0] == '[':
		return "list"
	case value[0] == 't', value[0] == 'f':
		return "boolean"
	case value[0] == 'n':
		return "null"
	default:
		return "number"
	}
}

func nounOf(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "another type"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Append(nil, v, json.SortMapKeys)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	return writeBytes(w, status, "application/json", append(b, '\n'))
}

func writeBytes(w http.ResponseWriter, status int, contentType string, b []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// A client that went away is no error of the handler.
	_, _ = w.Write(b)
	return nil
}
