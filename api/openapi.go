package api

// The OpenAPI 3.1 document, made from the routes and the Go types of their
// bodies.

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/segmentio/encoding/json"
)

type object = map[string]any

var pathParam = regexp.MustCompile(`\{([^}]*)\}`)

// OpenAPI writes the OpenAPI 3.1 document of the routes.
func OpenAPI(title, version string, routes []Route) ([]byte, error) {
	types := newSchemaSet()
	paths := object{}
	tags := map[string]bool{}
	for _, r := range routes {
		path, params := openPath(r.Pattern)
		op := operation(r, params, types)
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		method := strings.ToLower(r.Method)
		if _, twice := item[method]; twice {
			return nil, fmt.Errorf("route %s %s is there twice", r.Method, r.Pattern)
		}
		item[method] = op
		if r.Doc.Tag != "" {
			tags[r.Doc.Tag] = true
		}
	}
	problem := types.of(Problem{})
	doc := object{
		"openapi": "3.1.0",
		"info":    object{"title": title, "version": version},
		"paths":   paths,
		"components": object{
			"schemas": types.named,
			"responses": object{"Problem": object{
				"description": "What went wrong, with a stable code and the id that is also in the log (RFC 9457).",
				"content":     object{"application/problem+json": object{"schema": problem}},
			}},
			"securitySchemes": object{
				"bearer":  object{"type": "http", "scheme": "bearer"},
				"header":  object{"type": "apiKey", "in": "header", "name": "X-API-Key"},
				"api_key": object{"type": "apiKey", "in": "query", "name": "api_key"},
				"session": object{"type": "apiKey", "in": "cookie", "name": SessionCookie},
			},
		},
		"tags": tagList(tags),
	}
	b, err := json.Append(nil, doc, json.SortMapKeys)
	if err != nil {
		return nil, fmt.Errorf("encoding the OpenAPI document: %w", err)
	}
	return append(b, '\n'), nil
}

// openPath turns a ServeMux pattern into an OpenAPI path and its parameters.
func openPath(pattern string) (string, []string) {
	var params []string
	path := pathParam.ReplaceAllStringFunc(pattern, func(m string) string {
		name := strings.TrimSuffix(m[1:len(m)-1], "...")
		if name == "$" {
			return ""
		}
		params = append(params, name)
		return "{" + name + "}"
	})
	return path, params
}

func operation(r Route, params []string, types *schemaSet) object {
	op := object{"responses": responses(r, types), "operationId": operationID(r)}
	if r.Doc.Summary != "" {
		op["summary"] = r.Doc.Summary
	}
	if r.Doc.Tag != "" {
		op["tags"] = []string{r.Doc.Tag}
	}
	if r.Auth == Root {
		op["description"] = "Needs the root key."
	}
	list := make([]object, 0, len(params)+len(r.Doc.Query))
	for _, p := range params {
		list = append(list, object{"name": p, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range r.Doc.Query {
		kind := q.Type
		if kind == "" {
			kind = "string"
		}
		list = append(list, object{"name": q.Name, "in": "query", "required": q.Required, "description": q.Doc, "schema": object{"type": kind}})
	}
	if len(list) > 0 {
		op["parameters"] = list
	}
	if r.Doc.Request != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": types.of(r.Doc.Request)}}}
	}
	if r.Auth == Public {
		op["security"] = []object{}
	} else {
		op["security"] = []object{{"bearer": []string{}}, {"header": []string{}}, {"api_key": []string{}}, {"session": []string{}}}
	}
	return op
}

func responses(r Route, types *schemaSet) object {
	status := r.Doc.Status
	if status == 0 {
		status = http.StatusOK
	}
	ok := object{"description": http.StatusText(status)}
	if r.Doc.Response != nil {
		ok["content"] = object{"application/json": object{"schema": types.of(r.Doc.Response)}}
	}
	problem := object{"$ref": "#/components/responses/Problem"}
	if r.Doc.Problem != nil {
		problem = object{"description": "What went wrong.", "content": object{"application/json": object{"schema": types.of(r.Doc.Problem)}}}
	}
	all := object{strconv.Itoa(status): ok, "default": problem}
	for _, other := range r.Doc.Others {
		answer := object{"description": http.StatusText(other), "content": object{"application/json": object{"schema": types.of(r.Doc.Response)}}}
		if other >= http.StatusBadRequest {
			answer["content"].(object)["application/problem+json"] = object{"schema": types.of(Problem{})}
		}
		all[strconv.Itoa(other)] = answer
	}
	return all
}

// operationID is unique because method and path are.
func operationID(r Route) string {
	words := strings.FieldsFunc(r.Pattern, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	})
	id := strings.ToLower(r.Method)
	for _, w := range words {
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	if strings.Contains(r.Pattern, "{") {
		id += strconv.Itoa(strings.Count(r.Pattern, "{"))
	}
	return id
}

func tagList(tags map[string]bool) []object {
	list := make([]object, 0, len(tags))
	for _, name := range sortedKeys(tags) {
		list = append(list, object{"name": name})
	}
	return list
}
