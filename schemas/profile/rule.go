package profile

// Rules: what a profile demands of single fields of an event's data.

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
)

type checkSpec struct {
	Field    string   `yaml:"field"`    // a top-level field of the data
	Is       string   `yaml:"is"`       // text, number, object, url or offset_time
	Optional bool     `yaml:"optional"` // may be left out
	Without  []string `yaml:"without"`  // object only: fields that it must not hold
}

// Kinds of a field's value.
const (
	isText       = "text"        // a string that is not empty
	isNumber     = "number"      // a JSON number
	isMap        = "object"      // a JSON object
	isURL        = "url"         // an absolute http or https URL
	isOffsetTime = "offset_time" // RFC 3339 with a numeric offset and no fraction or one of 3 or 6 digits: old Python reads no other
)

func kinds() []string { return []string{isText, isNumber, isMap, isURL, isOffsetTime} }

// compileChecks takes rules over once they make sense.
func compileChecks(specs []checkSpec, path ...string) ([]checkSpec, error) {
	for i, c := range specs {
		at := append(slices.Clone(path), strconv.Itoa(i))
		switch {
		case c.Field == "":
			return nil, wrong("is missing; name a field of the data", append(at, "field")...)
		case !slices.Contains(kinds(), c.Is):
			return nil, wrongf(append(at, "is"), "is %q; give one of %s", c.Is, strings.Join(kinds(), ", "))
		case len(c.Without) > 0 && c.Is != isMap:
			return nil, wrong("is for is: object", append(at, "without")...)
		}
	}
	return specs, nil
}

// judge is the *Fault of one field, or nil.
func (c *checkSpec) judge(profile string, fields map[string]json.RawMessage) error {
	value, has := fields[c.Field]
	if !has {
		if c.Optional {
			return nil
		}
		return &Fault{Field: "data." + c.Field, Reason: fmt.Sprintf("is missing; %s needs it", profile)}
	}
	if want := c.mismatch(value); want != "" {
		if c.Optional {
			want += ", or leave it out"
		}
		return &Fault{Field: "data." + c.Field, Reason: fmt.Sprintf("is %.100s; give %s", value, want)}
	}
	for _, name := range c.Without {
		if _, has := member(value, name); has {
			return &Fault{Field: "data." + c.Field + "." + name, Reason: fmt.Sprintf("is there; receivers of %s would take it for their own field of that name, so leave it out", profile)}
		}
	}
	return nil
}

// mismatch says what the value should have been; empty when it is that.
func (c *checkSpec) mismatch(value []byte) string {
	s, isString := text(value)
	switch c.Is {
	case isText:
		if s == "" {
			return "a string that is not empty"
		}
	case isNumber:
		if len(value) == 0 || value[0] != '-' && (value[0] < '0' || value[0] > '9') {
			return "a number"
		}
	case isMap:
		if !isObject(value) {
			return "an object"
		}
	case isURL:
		if u, err := url.Parse(s); !isString || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "an absolute http or https URL"
		}
	case isOffsetTime:
		if !offsetTime(s) {
			return "RFC 3339 with a numeric offset and no fraction or 3 or 6 digits, for example 2025-03-04T05:06:07+00:00"
		}
	}
	return ""
}

func offsetTime(s string) bool {
	for _, layout := range []string{"2006-01-02T15:04:05-07:00", "2006-01-02T15:04:05.000-07:00", "2006-01-02T15:04:05.000000-07:00"} {
		if t, err := time.Parse(layout, s); err == nil && t.Format(layout) == s {
			return true
		}
	}
	return false
}
