package e2e

// The products' management APIs, by API key: I Hate PPT's with curl, Smart
// KYC's limits.

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// curl runs one and gives the status and the answer.
func curl(t *testing.T, args ...string) (status string, body map[string]any) {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"--silent", "--show-error", "--write-out", "\n%{http_code}"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	i := bytes.LastIndexByte(out, '\n')
	if err := json.Unmarshal(out[:i], &body); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return string(out[i+1:]), body
}

// pptCalls: create with a secret, create without, test; then what else the
// product's page asks for.
func pptCalls(t *testing.T, s *stack) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed; install it to run I Hate PPT's calls")
	}
	_, key := s.tenantKey("ppt", "ihateppt", nil)
	var r *sink
	made := make(chan struct{}) // closed once r is set
	r = newSink(t, func(w http.ResponseWriter, req *http.Request, n int) {
		<-made
		var body struct{ Data struct{ Challenge string } }
		if json.Unmarshal([]byte(r.requests(req.URL.Path)[n].body), &body) == nil && body.Data.Challenge != "" {
			_ = json.NewEncoder(w).Encode(map[string]string{"challenge": body.Data.Challenge})
		}
	})
	close(made)
	post := func(key, path, body string) (string, map[string]any) {
		t.Helper()
		return curl(t, "-X", "POST", s.api+path, "-H", "Authorization: Bearer "+key, "-H", "Content-Type: application/json", "-d", body)
	}
	status, hook := post(key, "/v1/webhooks", `{
    "url": "`+r.URL+`/webhook",
    "events": ["ppt.generation.completed", "ppt.generation.failed"],
    "secret": "a secret of ours"
  }`)
	id, _ := hook["id"].(string)
	if status != "201" || !strings.HasPrefix(id, "wh_") || hook["url"] != r.URL+"/webhook" || fmt.Sprint(hook["events"]) != "[ppt.generation.completed ppt.generation.failed]" ||
		hook["secret"] != nil || hook["status"] == nil || hook["created"] == nil || hook["profile"] != "ihateppt" {
		t.Fatalf("create: %s %v", status, hook)
	}
	// A tunnel is an https URL like any other. This one's certificate is its
	// own, so the challenge that goes out to it fails, and says so.
	tunnel := httptest.NewTLSServer(http.NotFoundHandler())
	defer tunnel.Close()
	status, bare := post(key, "/v1/webhooks", `{"url": "`+tunnel.URL+`/webhook", "events": ["ppt.generation.completed"]}`)
	if secret, _ := bare["secret"].(string); status != "201" || len(secret) < 32 {
		t.Fatalf("create without a secret: %s %v", status, bare)
	}
	as := func(method, path string, body any, status int, into any) {
		t.Helper()
		a := s.ask(method, path, body, map[string]string{"Authorization": "Bearer " + key})
		if a.status != status {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
		if into != nil {
			if err := json.Unmarshal(a.body, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the tunnel was challenged", func() error {
		var v struct {
			Secret      string
			Status      string
			VerifyError string `json:"verify_error"`
		}
		as(http.MethodGet, "/v1/webhooks/"+bare["id"].(string), nil, http.StatusOK, &v)
		if v.Secret != "" || v.Status != "pending" {
			t.Fatalf("%+v", v)
		}
		if !strings.Contains(v.VerifyError, "TLS") {
			return fmt.Errorf("verify_error %q", v.VerifyError)
		}
		return nil
	})
	eventually(t, "the webhook answered its challenge", func() error {
		var v struct{ Status string }
		as(http.MethodGet, "/v1/webhooks/"+id, nil, http.StatusOK, &v)
		if v.Status != "active" {
			return fmt.Errorf("status %q", v.Status)
		}
		return nil
	})
	status, test := post(key, "/v1/webhooks/test", `{
    "webhook_id": "`+id+`",
    "event_type": "ppt.generation.completed"
  }`)
	if status != "202" || test["event_type"] != "ppt.generation.completed" || test["delivery_id"] == nil {
		t.Fatalf("test: %s %v", status, test)
	}
	var got request
	eventually(t, "the test arrived", func() error {
		for _, q := range r.requests("/webhook") {
			if strings.Contains(q.body, test["event_id"].(string)) {
				got = q
				return nil
			}
		}
		return fmt.Errorf("not among %d requests", r.count("/webhook"))
	})
	mac := hmac.New(sha256.New, []byte("a secret of ours"))
	mac.Write([]byte(got.header.Get("X-Webhook-Timestamp") + "." + got.body))
	if got.header.Get("X-Webhook-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) || got.header.Get("X-Webhook-Event") != "ppt.generation.completed" ||
		!strings.Contains(got.body, `"ppt_id"`) || !strings.Contains(got.body, `"download_url"`) {
		t.Errorf("the test arrived as %v %s", got.header, got.body)
	}
	for _, c := range []struct{ key, path, body, status string }{
		{"hsk_wrong", "/v1/webhooks", `{"url":"https://a.example"}`, "401"},
		{"hsk_wrong", "/v1/webhooks/test", `{"webhook_id":"` + id + `"}`, "401"},
		{key, "/v1/webhooks/test", `{"webhook_id":"wh_123456","event_type":"ppt.generation.completed"}`, "404"},
		{key, "/v1/webhooks/test", `{"webhook_id":"` + id + `","event_type":"ppt.melted"}`, "422"},
		{key, "/v1/webhooks", `{"url":`, "400"},
	} {
		if status, body := post(c.key, c.path, c.body); status != c.status {
			t.Errorf("%s %s: %s %v", c.path, c.body, status, body)
		}
	}
	if status, body := curl(t, "-X", "POST", s.api+"/v1/webhooks", "-H", "Content-Type: application/json", "-d", `{"url":"https://a.example"}`); status != "401" {
		t.Errorf("without a key: %s %v", status, body)
	}
	var list struct{ Data []struct{ ID string } }
	as(http.MethodGet, "/v1/webhooks", nil, http.StatusOK, &list)
	if len(list.Data) != 2 {
		t.Errorf("%+v", list)
	}
	as(http.MethodPatch, "/v1/webhooks/"+id, map[string]any{"events": []string{"user.registered"}}, http.StatusOK, nil)
	eventually(t, "the test is in the logs", func() error {
		var logs page
		as(http.MethodGet, "/v1/webhooks/"+id+"/logs?event_type=ppt.generation.completed", nil, http.StatusOK, &logs)
		if len(logs.Data) != 1 || logs.Data[0].ID != test["delivery_id"] || logs.Data[0].Status != "success" {
			return fmt.Errorf("%+v", logs.Data)
		}
		return nil
	})
	as(http.MethodDelete, "/v1/webhooks/"+id, nil, http.StatusNoContent, nil)
	as(http.MethodGet, "/v1/webhooks/"+id, nil, http.StatusNotFound, nil)
}

// kycKeys: a key by header or query; bursts and the way to more of them.
func kycKeys(t *testing.T, s *stack) {
	keyID, key := s.tenantKey("kyc", "smartkyc", nil)
	var raised struct{ Key string }
	s.call(http.MethodPost, "/v1/tenants/kyc/keys", map[string]any{"rate_limit": 600}, http.StatusCreated, &raised)
	ask := func(query string, header map[string]string) answer {
		t.Helper()
		h := map[string]string{"Authorization": ""}
		for k, v := range header {
			h[k] = v
		}
		return s.ask(http.MethodGet, "/v1/webhooks"+query, nil, h)
	}
	for name, c := range map[string]struct {
		query  string
		header map[string]string
		status int
	}{
		"header":       {"", map[string]string{"X-API-Key": raised.Key}, http.StatusOK},
		"query":        {"?api_key=" + raised.Key, nil, http.StatusOK},
		"bearer":       {"", map[string]string{"Authorization": "Bearer " + raised.Key}, http.StatusOK},
		"none":         {"", nil, http.StatusUnauthorized},
		"wrong header": {"", map[string]string{"X-API-Key": "hsk_wrong"}, http.StatusUnauthorized},
		"wrong query":  {"?api_key=hsk_wrong", nil, http.StatusUnauthorized},
		"empty":        {"?api_key=", map[string]string{"X-API-Key": ""}, http.StatusUnauthorized},
	} {
		if a := ask(c.query, c.header); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	burst := func(key string, n int) (statuses map[int]int) {
		statuses = map[int]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range n / 10 {
					a := ask("", map[string]string{"X-API-Key": key})
					mu.Lock()
					statuses[a.status]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return statuses
	}
	if got := burst(key, 200); got[http.StatusOK] != 200 {
		t.Errorf("200 at once: %v", got)
	}
	if a := ask("", map[string]string{"X-API-Key": key}); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "contact support") {
		t.Errorf("the 201st: %d %v %s", a.status, a.header, a.body)
	}
	s.call(http.MethodPatch, "/v1/tenants/kyc/keys/"+keyID, map[string]any{"rate_limit": 600}, http.StatusOK, nil)
	if a := ask("", map[string]string{"X-API-Key": key}); a.status != http.StatusOK {
		t.Errorf("the same key with a raised limit: %d %s", a.status, a.body)
	}
	if got := burst(raised.Key, 400); got[http.StatusOK] != 400 {
		t.Errorf("400 at once with a raised limit: %v", got)
	}
}
