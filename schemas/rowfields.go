package schemas

// Fields of a registry row that this version does not know: a node that is
// updated later than another one keeps what the other one wrote.

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/segmentio/encoding/json"
)

// Unknown holds a row's top-level fields that a newer version wrote, as
// `,"name":value`. Whoever writes the row again passes them on. Fields inside
// nested objects are not kept: new ones have to be top-level.
type Unknown []byte

// parseKeeping reads a row and what it holds beyond the row's type.
func parseKeeping[T any](rec *Record, row *T, unknown *Unknown) error {
	var zero T
	*row = zero
	rest, err := json.Parse(rec.Value, row, json.DisallowUnknownFields|json.DontMatchCaseInsensitiveStructFields)
	// The library's only marker of an unknown field is its text.
	if err != nil && strings.HasPrefix(err.Error(), "json: unknown field ") {
		*row = zero
		if rest, err = json.Parse(rec.Value, row, json.DontMatchCaseInsensitiveStructFields); err == nil {
			*unknown, err = unknownFields(rec.Value, reflect.TypeFor[T]())
		}
	}
	if err == nil && len(bytes.TrimSpace(rest)) > 0 {
		err = fmt.Errorf("%d bytes behind the row", len(rest))
	}
	if err != nil {
		return fmt.Errorf("reading registry row %s at %s/%d/%d: %w", rec.Key, rec.Topic, rec.Partition, rec.Offset, err)
	}
	return nil
}

func unknownFields(value []byte, row reflect.Type) (Unknown, error) {
	fields := map[string]json.RawMessage{}
	if _, err := json.Parse(value, &fields, 0); err != nil {
		return nil, fmt.Errorf("reading fields: %w", err)
	}
	for i := range row.NumField() {
		name, _, _ := strings.Cut(row.Field(i).Tag.Get("json"), ",")
		delete(fields, name)
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	var out Unknown
	for _, name := range names {
		out = append(out, ',')
		var err error
		if out, err = json.Append(out, name, 0); err != nil {
			return nil, fmt.Errorf("encoding field name %q: %w", name, err)
		}
		out = append(out, ':')
		out = append(out, fields[name]...)
	}
	return out, nil
}

// append puts the fields behind those of an encoded, non-empty object.
func (u Unknown) append(value []byte) []byte {
	if len(u) == 0 {
		return value
	}
	value = append(value[:len(value)-1], u...)
	return append(value, '}')
}
