package endpoint

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/schemas"
)

// FuzzEventSchema: whatever a tenant gives as a schema, and a publisher as data,
// is either taken or refused with a reason, the same each time.
func FuzzEventSchema(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type":"object","required":["a"],"properties":{"a":{"type":"number","multipleOf":0.1}}}`, `{"a":25.0}`},
		{`{"$ref":"#/$defs/x","$defs":{"x":{"enum":[1,"a",null]}}}`, `"a"`},
		{`{"oneOf":[{"type":"string","pattern":"^a+$"},{"type":"array","uniqueItems":true,"contains":{"const":1}}]}`, `[1,2]`},
		{`{"properties":{"x":{"$ref":"#"}},"unevaluatedProperties":false}`, `{"x":{"x":{"y":1}}}`},
		{`{"$id":"https://e.com/a","$anchor":"b","$ref":"#b"}`, `1e400`},
		{`{"propertyNames":{"maxLength":3},"dependentSchemas":{"a":{"required":["b"]}},"if":{"minProperties":1},"then":false}`, `{"a":1}`},
		{`{"prefixItems":[{}],"items":{"$dynamicRef":"#x"},"unevaluatedItems":{}}`, `[[]]`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, schema, data string) {
		if len(schema) > 4<<10 || len(data) > 4<<10 {
			t.Skip("bounded elsewhere")
		}
		s, err := compileSchema([]byte(schema))
		if err != nil {
			if err.Error() == "" || strings.HasPrefix(err.Error(), "cannot be judged") {
				t.Errorf("refused with %q", err)
			}
			return
		}
		pointer, reason := s.check([]byte(data), &sync.Mutex{})
		if strings.HasPrefix(reason, "cannot be judged") || len(reason) > 400 {
			t.Errorf("%s: %s", pointer, reason)
		}
		again, err := compileSchema([]byte(schema))
		if err != nil {
			t.Fatalf("taken, then refused: %v", err)
		}
		if p, r := again.check([]byte(data), &sync.Mutex{}); p != pointer || (r == "") != (reason == "") {
			t.Errorf("%q %q, then %q %q", pointer, reason, p, r)
		}
	})
}

// TestLargestSchemas: schemas that are as bad as their size lets them be are
// refused, or judge the largest data with bounded work.
func TestLargestSchemas(t *testing.T) {
	chain := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"d%d":{"$ref":"#/$defs/d%d"},`, i, i+1)
		}
		return fmt.Sprintf(`{"$ref":"#/$defs/d0","$defs":{%s"d%d":{"items":{"$ref":"#"}}}}`, b.String(), n)
	}
	alternatives := func(n int) string {
		return `{"items":{"anyOf":[` + strings.Repeat(`{"type":"string"},`, n) + `{"type":"object"}]}}`
	}
	lists := []byte(strings.Repeat("[", 60) + "[]" + strings.Repeat(",[]", 10_000) + strings.Repeat("]", 60))
	flat := []byte(`[` + strings.Repeat("1,", 30_000) + `1]`)
	for name, c := range map[string]struct {
		schema string
		taken  bool
		reason string // of refusing flat
	}{
		"a short chain of references": {chain(3), true, ""},
		"a long one":                  {chain(100), false, ""},
		"some alternatives":           {alternatives(5), true, "anyOf"},
		"many":                        {alternatives(400), true, "too many values"},
		"too many":                    {alternatives(600), false, ""},
		"alternatives that nest":      {`{"items":{"anyOf":[{"$ref":"#"},{"$ref":"#"},{}]}}`, false, ""},
		"a tagged tree":               {`{"oneOf":[{"type":"integer"},{"type":"array","items":{"$ref":"#"}}]}`, true, ""},
		"a tree judged twice":         {`{"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}`, false, ""},
		"patterns that overlap":       {`{"patternProperties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}}`, false, ""},
		"contains beside its items":   {`{"items":{"$ref":"#"},"contains":{"$ref":"#"}}`, false, ""},
	} {
		s, err := compileSchema([]byte(c.schema))
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		s.check(lists, &sync.Mutex{})
		if _, reason := s.check(flat, &sync.Mutex{}); (reason == "") != (c.reason == "") || !strings.Contains(reason, c.reason) {
			t.Errorf("%s: %q, want %q", name, reason, c.reason)
		}
	}
}

// TestPatternsAreBoundedByTheText: patterns and texts that are each allowed, but
// together keep a processor busy for seconds, are refused; the same pattern
// still judges what is short.
func TestPatternsAreBoundedByTheText(t *testing.T) {
	costly := `{"pattern":"(x+x+){100}y"}`
	several := `{"allOf":[` + strings.Repeat(costly+",", 20) + costly + `]}`
	for name, c := range map[string]struct {
		schema, data string
		refused      bool
	}{
		"one, long":        {costly, `"` + strings.Repeat("x", 250_000) + `"`, true},
		"several, long":    {several, `"` + strings.Repeat("x", 50_000) + `"`, true},
		"several, short":   {several, `"` + strings.Repeat("xx", 100) + `y"`, false},
		"of names":         {`{"patternProperties":{"(x+x+){100}y":{}}}`, `{"` + strings.Repeat("x", 250_000) + `":1}`, true},
		"of other names":   {`{"propertyNames":` + costly + `}`, `{"` + strings.Repeat("x", 250_000) + `":1}`, true},
		"by a reference":   {`{"items":{"$ref":"#/$defs/a"},"$defs":{"a":` + costly + `}}`, `["` + strings.Repeat("x", 250_000) + `"]`, true},
		"none, long":       {`{"type":"string"}`, `"` + strings.Repeat("x", 250_000) + `"`, false},
		"a usual one":      {`{"items":{"pattern":"^[A-Z]{2}[0-9]{6}$"}}`, `[` + strings.Repeat(`"AB123456",`, 20_000) + `"CD123456"]`, false},
		"beside long text": {`{"properties":{"id":{"pattern":"^[0-9a-f-]{36}$"}}}`, `{"id":"0d8fbb3c-7a5c-4ab3-8a0b-6a3f6a1c9c11","text":"` + strings.Repeat("x", 250_000) + `"}`, false},
	} {
		s, err := compileSchema([]byte(c.schema))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, reason := s.check([]byte(c.data), &sync.Mutex{}); strings.Contains(reason, "too much text") != c.refused || !c.refused && reason != "" {
			t.Errorf("%s: %q", name, reason)
		}
	}
}

// TestBrokenSchemaInOneLine: what is wrong with a schema is told in one line
// that names the place.
func TestBrokenSchemaInOneLine(t *testing.T) {
	for schema, want := range map[string]string{
		`{"properties":{"a":{"type":"strnig"}}}`:                    "/properties/a/type",
		`{"allOf":[{"pattern":"("},{"pattern":"("}]}`:               "/allOf/0/pattern",
		`{"pattern":"(x+x+){400}y"}`:                                "/pattern",
		`{"required":"a"}`:                                          "/required",
		`{"$ref":"https://example.com/other.json"}`:                 "$defs",
		`{"$schema":"http://json-schema.org/draft-07/schema#"}`:     "2020-12",
		`{"$ref":"#/$defs/none"}`:                                   "none",
		`{"properties":{"a":{"$id":"file:///etc/passwd#x\u0000"}}}`: "",
	} {
		_, err := compileSchema([]byte(schema))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

// TestCompiledSchemasAreBounded: a schema may not be small as text and large in
// memory, and only so many of one tenant stay compiled.
func TestCompiledSchemasAreBounded(t *testing.T) {
	many := func(n int, part string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%x":%s,`, i, part)
		}
		return `{"properties":{` + b.String() + `"z":{}}}`
	}
	for name, c := range map[string]struct {
		schema string
		taken  bool
	}{
		"some properties":    {many(900, `{}`), true},
		"many":               {many(2000, `{}`), false},
		"many that are true": {many(2000, `true`), false},
		"many items":         {`{"prefixItems":[` + strings.Repeat(`{},`, 5000) + `{}]}`, false},
		"a few patterns":     {many(50, `{"pattern":"x{300}"}`), true},
		"many patterns":      {many(300, `{"pattern":"x{300}"}`), false},
	} {
		if _, err := compileSchema([]byte(c.schema)); (err == nil) != c.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
	var ready readySchemas
	types := make([]*eventType, 3*maxReady)
	for i := range types {
		types[i] = &eventType{row: &schemas.TenantType{Schema: []byte(`{"type":"object"}`)}}
	}
	for _, t0 := range types {
		for _, each := range []*eventType{types[0], t0} { // the first is asked for all the time
			if s, err := ready.of(each); err != nil || s == nil {
				t.Fatal(err)
			}
		}
	}
	compiled := 0
	for _, each := range types {
		if each.schema != nil {
			compiled++
		}
	}
	if compiled != maxReady || types[0].schema == nil || types[len(types)-1].schema == nil || types[1].schema != nil {
		t.Errorf("%d of %d stay compiled", compiled, len(types))
	}
}
