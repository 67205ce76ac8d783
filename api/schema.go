package api

// JSON Schemas of Go types, by reflection over their json tags; a doc tag
// becomes the description.

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
)

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// schemaSet collects the named structs of a document.
type schemaSet struct {
	named map[string]any
	names map[reflect.Type]string
}

func newSchemaSet() *schemaSet {
	return &schemaSet{named: map[string]any{}, names: map[reflect.Type]string{}}
}

// of is the schema of a value's type.
func (s *schemaSet) of(v any) object { return s.schema(reflect.TypeOf(v)) }

func (s *schemaSet) schema(t reflect.Type) object {
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == rawType || t.Kind() == reflect.Interface:
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.schema(t.Elem()))
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.schema(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return s.fields(t)
		}
		return s.ref(t)
	default:
		return object{"type": "integer"}
	}
}

// nullable lets a schema be null too; a pointer may be.
func nullable(schema object) object {
	if kind, ok := schema["type"].(string); ok {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	if len(schema) == 0 {
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

// ref names a struct once; recursion ends because the name stands before the
// fields are looked at.
func (s *schemaSet) ref(t reflect.Type) object {
	name, ok := s.names[t]
	if !ok {
		name = typeName(t)
		for n := 2; ; n++ {
			if _, taken := s.named[name]; !taken {
				break
			}
			name = fmt.Sprintf("%s%d", typeName(t), n)
		}
		s.names[t] = name
		s.named[name] = nil
		s.named[name] = s.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// typeName is a Go type's name without packages: Page[a/b.View] is PageView.
func typeName(t reflect.Type) string {
	name := ""
	for _, part := range strings.FieldsFunc(t.Name(), func(c rune) bool { return strings.ContainsRune("[],* ", c) }) {
		part = part[strings.LastIndexAny(part, "./")+1:]
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	return name
}

func (s *schemaSet) fields(t reflect.Type) object {
	properties := object{}
	var required []string
	s.collect(t, properties, &required)
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

func (s *schemaSet) collect(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct {
			s.collect(f.Type, properties, required)
			continue
		}
		if f.Anonymous && tag == "" && f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct {
			s.collect(f.Type.Elem(), properties, &[]string{}) // its fields are there only where it is
			continue
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		name := tag
		if name == "" {
			name = f.Name
		}
		schema := s.schema(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		properties[name] = schema
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
