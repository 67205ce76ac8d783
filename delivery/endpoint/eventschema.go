package endpoint

// JSON Schemas of event types: compiled under bounds, so that no schema and no
// event can keep a publisher or a dispatcher busy.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Bounds of schemas and of the data that they are asked about.
const (
	maxSchemaBytes = 32 << 10
	maxSampleBytes = 32 << 10
	maxDataDepth   = 64   // of data that a schema judges
	maxPattern     = 1000 // instructions of a compiled regular expression
	maxExponent    = 400  // of a number: what is beyond a double's range only costs memory
)

const draft2020 = "https://json-schema.org/draft/2020-12/schema"

// schemaURL is the base of a schema that gives itself none. Nothing is loaded
// from it.
const schemaURL = "urn:hookstream:event-type"

// dataSchema judges the data of events. It is safe for concurrent use.
type dataSchema struct {
	schema       *jsonschema.Schema
	work         int // checks of one value at most
	instructions int // of the patterns that one text has to match at most
}

// noLoader refuses every schema that is not in the document itself.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("refers to %.200q; a schema may refer to its own parts only: put the other one under $defs", url)
}

// compileSchema reads a JSON Schema 2020-12. Its error is the reason in words.
func compileSchema(text []byte) (_ *dataSchema, err error) {
	defer contain(func(reason string) { err = errors.New(reason) })
	doc, err := decodeData(text)
	if err != nil {
		return nil, err
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("has to be a JSON object")
	}
	if dialect, has := object["$schema"]; has && dialect != draft2020 && dialect != draft2020+"#" {
		return nil, fmt.Errorf("$schema is %.100q; leave it out or give %s", fmt.Sprint(dialect), draft2020)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(boundedRegexp)
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	schema, err := c.Compile(schemaURL)
	if err != nil {
		return nil, errors.New(compileReason(err))
	}
	work, instructions, err := workOf(schema)
	if err != nil {
		return nil, err
	}
	return &dataSchema{schema, work, instructions}, nil
}

// contain turns a panic of the library into a reason: one tenant's schema must
// not end the process that delivers for all of them.
func contain(report func(reason string)) {
	if p := recover(); p != nil {
		report(fmt.Sprintf("cannot be judged: %.200v", p))
	}
}

// compileReason is the library's error in one line.
func compileReason(err error) string {
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		return load.Err.Error()
	}
	var refused *jsonschema.SchemaValidationError // it does not unwrap
	if errors.As(err, &refused) {
		err = refused.Err
	}
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		pointer, reason := firstFault(invalid)
		return fmt.Sprintf("is no JSON Schema: at %q: %s", pointer, reason)
	}
	return strings.ReplaceAll(err.Error(), schemaURL, "")
}

// pattern is a compiled pattern that knows its cost.
type pattern struct {
	*regexp.Regexp
	size int // instructions
}

// boundedRegexp compiles a pattern. Go's expressions take linear time, so their
// size bounds what they cost; they have no look-around.
func boundedRegexp(text string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxPattern {
		return nil, fmt.Errorf("pattern %.100q is too costly; write it with smaller repetitions", text)
	}
	matcher, err := regexp.Compile(text)
	return &pattern{matcher, len(prog.Inst)}, err
}

// check says where data does not satisfy the schema, as a JSON pointer, and
// why; an empty reason is a pass. Long checks wait for each other on many.
func (s *dataSchema) check(data []byte, many sync.Locker) (pointer, reason string) {
	defer contain(func(panicked string) { reason = panicked })
	doc, err := decodeData(data)
	if err != nil {
		return "", err.Error()
	}
	values, text := sizeOf(doc)
	checks, steps := values*s.work, text*s.instructions
	switch {
	case checks > maxChecks:
		return "", fmt.Sprintf("has too many values for what the schema checks of each: %d checks, more than %d", checks, maxChecks)
	case steps > maxSteps:
		return "", fmt.Sprintf("has too much text for the schema's patterns: %d bytes, and patterns of %d instructions; make the patterns smaller", text, s.instructions)
	case checks > manyChecks || steps > manySteps:
		many.Lock()
		defer many.Unlock()
	}
	err = s.schema.Validate(doc)
	if err == nil {
		return "", ""
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return "", err.Error()
	}
	return firstFault(invalid)
}

// firstFault is the first of the faults by place and text: the library finds
// them in a random order.
func firstFault(err *jsonschema.ValidationError) (pointer, reason string) {
	count := 0
	var first []*jsonschema.ValidationError // all at the first place
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		switch e.ErrorKind.(type) {
		case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
			for _, cause := range e.Causes {
				walk(cause)
			}
			return
		}
		count++
		order := -1
		if len(first) > 0 {
			order = slices.Compare(e.InstanceLocation, first[0].InstanceLocation)
		}
		if order < 0 {
			first = first[:0]
		}
		if order <= 0 {
			first = append(first, e)
		}
	}
	walk(err)
	for _, e := range first {
		alone := *e
		alone.Causes = nil
		if unit := alone.BasicOutput(); unit.Error != nil && (reason == "" || unit.Error.String() < reason) {
			reason = unit.Error.String()
		}
	}
	if reason == "" {
		return "", "does not satisfy the schema"
	}
	for _, step := range first[0].InstanceLocation {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
	}
	if len(reason) > 300 {
		reason = strings.ToValidUTF8(reason[:300], "") + "…"
	}
	if count > 1 {
		reason += fmt.Sprintf(" (and %d more)", count-1)
	}
	return pointer, reason
}

// decodeData reads JSON with its numbers as they are written.
func decodeData(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("is not valid JSON")
	}
	if _, err := d.Token(); err == nil || d.More() {
		return nil, errors.New("is more than one JSON value")
	}
	return v, checkData(v, maxDataDepth)
}

// sizeOf counts the values of a decoded document, names among them, and the
// bytes of its texts.
func sizeOf(v any) (values, text int) {
	switch v := v.(type) {
	case string:
		return 1, len(v)
	case []any:
		for _, e := range v {
			n, b := sizeOf(e)
			values, text = values+n, text+b
		}
	case map[string]any:
		for name, e := range v {
			n, b := sizeOf(e)
			values, text = values+n+1, text+b+len(name)
		}
	}
	return values + 1, text
}

// checkData refuses what costs more to judge than it can mean.
func checkData(v any, depth int) error {
	if depth == 0 {
		return fmt.Errorf("is nested deeper than %d levels", maxDataDepth)
	}
	switch v := v.(type) {
	case json.Number:
		i := strings.IndexAny(string(v), "eE")
		if i < 0 {
			i = len(v)
		} else if n, err := strconv.Atoi(string(v[i+1:])); err != nil || n > maxExponent || n < -maxExponent {
			return fmt.Errorf("has the number %.40s, whose exponent is beyond %d", v, maxExponent)
		}
		if i > maxExponent {
			return fmt.Errorf("has a number of more than %d digits", maxExponent)
		}
	case []any:
		for _, e := range v {
			if err := checkData(e, depth-1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, e := range v {
			if err := checkData(e, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}
