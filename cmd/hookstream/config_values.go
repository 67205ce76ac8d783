package main

// The kinds of value that a setting can have: how each reads its text, and how
// it shows itself so that the text reads back as the same value.

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// scalar is a value of type T with a parser and a printer.
type scalar[T any] struct {
	field *T
	parse func(string) (T, error)
	show  func(T) string
}

// Set parses text into the field; the field keeps its value on an error.
func (v *scalar[T]) Set(s string) error {
	parsed, err := v.parse(strings.TrimSpace(s))
	if err != nil {
		return err
	}
	*v.field = parsed
	return nil
}

// String shows the field as text that Set takes.
func (v *scalar[T]) String() string {
	if v.field == nil {
		return ""
	}
	return v.show(*v.field)
}

func text(field *string) value {
	return &scalar[string]{field, func(s string) (string, error) { return s, nil }, func(s string) string { return s }}
}

func choice(field *string, of ...string) value {
	return &scalar[string]{field, func(s string) (string, error) {
		for _, o := range of {
			if strings.EqualFold(s, o) {
				return o, nil
			}
		}
		named := slices.DeleteFunc(slices.Clone(of), func(o string) bool { return o == "" })
		return "", fmt.Errorf("is %q; use %s", s, strings.Join(named, ", "))
	}, func(s string) string { return s }}
}

func integer(field *int) value {
	return &scalar[int]{field, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("is %q; give a whole number", s)
		}
		return n, nil
	}, strconv.Itoa}
}

func float(field *float64) value {
	return &scalar[float64]{field, func(s string) (float64, error) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, fmt.Errorf("is %q; give a number", s)
		}
		return f, nil
	}, func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }}
}

func duration(field *time.Duration) value {
	return &scalar[time.Duration]{field, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("is %q; give a duration such as 500ms, 30s or 2h", s)
		}
		return d, nil
	}, time.Duration.String}
}

func level(field *slog.Level) value {
	return &scalar[slog.Level]{field, func(s string) (slog.Level, error) {
		var l slog.Level
		if err := l.UnmarshalText([]byte(s)); err != nil {
			return 0, fmt.Errorf("is %q; use debug, info, warn or error", s)
		}
		return l, nil
	}, func(l slog.Level) string { return strings.ToLower(l.String()) }}
}

// sizeUnits are what a size may end in, longest first.
func sizeUnits() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"b", 1}, {"", 1}}
}

func parseSize(s string) (int64, error) {
	lower := strings.ToLower(s)
	for _, u := range sizeUnits() {
		digits, ok := strings.CutSuffix(lower, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("is %q; give a size such as 65536, 256KiB or 16MiB", s)
}

func showSize(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n > 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func size(field *int64) value { return &scalar[int64]{field, parseSize, showSize} }

// boolValue is a switch: --name, --name=true, --name=false.
type boolValue struct{ field *bool }

func boolean(field *bool) value { return &boolValue{field} }

// Set reads true or false.
func (v *boolValue) Set(s string) error {
	b, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(s)))
	if err != nil {
		return fmt.Errorf("is %q; use true or false", s)
	}
	*v.field = b
	return nil
}

// String is true or false.
func (v *boolValue) String() string { return strconv.FormatBool(v.field != nil && *v.field) }

// IsBoolFlag lets the flag package take the name alone.
func (v *boolValue) IsBoolFlag() bool { return true }

// splitList cuts at commas, without blanks and empty parts.
func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func list(field *[]string) value {
	return &scalar[[]string]{field,
		func(s string) ([]string, error) { return splitList(s), nil },
		func(l []string) string { return strings.Join(l, ",") }}
}

// roles keeps starting order and refuses what is no role; empty or "all" is
// every role.
func roles(field *[]string) value {
	return &scalar[[]string]{field, func(s string) ([]string, error) {
		given := splitList(strings.ToLower(s))
		if len(given) == 0 || slices.Contains(given, "all") {
			return AllRoles(), nil
		}
		for _, r := range given {
			if !slices.Contains(AllRoles(), r) {
				return nil, fmt.Errorf("names %q; the roles are %s", r, strings.Join(AllRoles(), ", "))
			}
		}
		return slices.DeleteFunc(AllRoles(), func(r string) bool { return !slices.Contains(given, r) }), nil
	}, func(l []string) string { return strings.Join(l, ",") }}
}

// sources are topics of envelopes; formats need the YAML form.
func sources(field *[]schemas.EventSource) value {
	return &scalar[[]schemas.EventSource]{field, func(s string) ([]schemas.EventSource, error) {
		var out []schemas.EventSource
		for _, name := range splitList(s) {
			out = append(out, schemas.EventSource{Topic: name, Format: schemas.FormatEnvelope})
		}
		return out, nil
	}, func(l []schemas.EventSource) string {
		names := make([]string, len(l))
		for i, s := range l {
			names[i] = s.Topic
		}
		return strings.Join(names, ",")
	}}
}

// dsn is an address that may hold a password, which an error must not repeat.
func dsn(field *string) value {
	return &scalar[string]{field, func(s string) (string, error) {
		if strings.Contains(s, "://") {
			if _, err := url.Parse(s); err != nil {
				return "", errors.New("is no URL; give clickhouse://user:password@host:9000/hookstream, with special characters of the password percent-encoded")
			}
		}
		return s, nil
	}, func(s string) string { return s }}
}
