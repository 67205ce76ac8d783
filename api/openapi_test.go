package api_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/api"
)

func TestOpenAPI(t *testing.T) {
	s, _ := start(t, nil)
	resp, body := do(t, "GET", s.URL+"/openapi.json", nil, "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string                     `json:"operationId"`
			Responses   map[string]json.RawMessage `json:"responses"`
			Security    []map[string][]string      `json:"security"`
			Parameters  []struct{ Name, In string }
			RequestBody json.RawMessage `json:"requestBody"`
		}
		Components struct {
			Schemas         map[string]json.RawMessage
			Responses       map[string]json.RawMessage
			SecuritySchemes map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("openapi %q, info %+v", doc.OpenAPI, doc.Info)
	}
	seen := map[string]bool{}
	for _, r := range routes() {
		op, ok := doc.Paths[r.Pattern][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("%s %s is missing", r.Method, r.Pattern)
			continue
		}
		if op.OperationID == "" || seen[op.OperationID] {
			t.Errorf("%s %s: operationId %q", r.Method, r.Pattern, op.OperationID)
		}
		seen[op.OperationID] = true
		if (len(op.Security) == 0) != (r.Auth == 0) {
			t.Errorf("%s %s: security %v", r.Method, r.Pattern, op.Security)
		}
		for _, sec := range op.Security {
			for name := range sec {
				if doc.Components.SecuritySchemes[name] == nil {
					t.Errorf("security scheme %q is not defined", name)
				}
			}
		}
		if op.Responses["default"] == nil || len(op.Responses) != 2 {
			t.Errorf("%s %s: responses %v", r.Method, r.Pattern, op.Responses)
		}
		if strings.Contains(r.Pattern, "{id}") && (len(op.Parameters) == 0 || op.Parameters[0].Name != "id" || op.Parameters[0].In != "path") {
			t.Errorf("%s %s: parameters %v", r.Method, r.Pattern, op.Parameters)
		}
	}
	for _, ref := range regexp.MustCompile(`"#/components/([a-z]+)/([^"]+)"`).FindAllStringSubmatch(body, -1) {
		found := doc.Components.Schemas[ref[2]]
		if ref[1] == "responses" {
			found = doc.Components.Responses[ref[2]]
		}
		if found == nil {
			t.Errorf("reference %s leads nowhere", ref[0])
		}
	}
	if got := string(doc.Components.Schemas["Note"]); !strings.Contains(got, `"description":"what it says"`) || !strings.Contains(got, `"required":["text"]`) {
		t.Errorf("Note: %s", got)
	}
	if doc.Components.Schemas["PageNote"] == nil {
		t.Errorf("schemas %v", doc.Components.Schemas)
	}
}

// TestOpenAPIHasEveryStatus: a route that answers its body with several
// statuses has them all; errors among them may be problems too.
func TestOpenAPIHasEveryStatus(t *testing.T) {
	b, err := api.OpenAPI("t", "1", []api.Route{{Method: "PUT", Pattern: "/x", Doc: api.Doc{Response: note{}, Others: []int{201, 422}}}})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	responses := doc.Paths["/x"]["put"].Responses
	for status, types := range map[string]int{"200": 1, "201": 1, "422": 2} {
		if got := responses[status].Content; len(got) != types || got["application/json"] == nil {
			t.Errorf("%s: %v", status, got)
		}
	}
}
