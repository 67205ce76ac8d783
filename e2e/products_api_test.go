package e2e

// The products' management APIs as their own clients use them; SmartCV's, from
// JavaScript with a session.

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// tenantKey makes a tenant whose webhooks have a profile, and a key of it.
func (s *stack) tenantKey(id, profile string, key map[string]any) (keyID, text string) {
	s.t.Helper()
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": id, "profile": profile}, http.StatusCreated, nil)
	var made struct{ ID, Key string }
	s.call(http.MethodPost, "/v1/tenants/"+id+"/keys", key, http.StatusCreated, &made)
	return made.ID, made.Key
}

// cvRow is a row of SmartCV's log; Fields are the names that it has.
type cvRow struct {
	ID            string
	EventID       string `json:"event_id"`
	EventType     string `json:"event_type"`
	URL           string
	StatusCode    *int       `json:"status_code"`
	ResponseTime  int64      `json:"response_time"`
	Attempts      int        `json:"attempts"`
	DeliveredAt   *time.Time `json:"delivered_at"`
	LastAttemptAt *time.Time `json:"last_attempt_at"`
	NextRetryAt   *time.Time `json:"next_retry_at"`
	Error         *string

	fields map[string]any
}

func (r *cvRow) has(name string) bool { _, ok := r.fields[name]; return ok }

// cvClient calls /api as a browser does, with the session's cookie alone.
type cvClient struct {
	s      *stack
	cookie string
}

func (s *stack) signIn(key string) *cvClient {
	s.t.Helper()
	a := s.ask(http.MethodPost, "/v1/session", map[string]any{"key": key}, map[string]string{"Authorization": ""})
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if a.status != http.StatusOK || !strings.HasPrefix(cookie, "hookstream_session=") {
		s.t.Fatalf("signing in: %d %s %v", a.status, a.body, a.header)
	}
	return &cvClient{s, cookie}
}

func (c *cvClient) ask(method, path string, body any) answer {
	c.s.t.Helper()
	return c.s.ask(method, path, body, map[string]string{"Authorization": "", "Cookie": c.cookie})
}

// call wants success and gives its data.
func (c *cvClient) call(method, path string, body any, status int, into any) {
	c.s.t.Helper()
	a := c.ask(method, path, body)
	reply := struct {
		Success bool
		Data    any
	}{Data: into}
	if err := json.Unmarshal(a.body, &reply); err != nil || a.status != status || !reply.Success {
		c.s.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
}

func (c *cvClient) create(url string, types ...string) (id string) {
	c.s.t.Helper()
	var made struct{ ID string }
	c.call(http.MethodPost, "/api/webhooks", map[string]any{"url": url, "events": types, "secret": "chosen", "active": true}, http.StatusCreated, &made)
	return made.ID
}

func (c *cvClient) logs(id, query string) []cvRow {
	c.s.t.Helper()
	var raw []json.RawMessage
	c.call(http.MethodGet, "/api/webhooks/"+id+"/logs"+query, nil, http.StatusOK, &raw)
	rows := make([]cvRow, len(raw))
	for i, b := range raw {
		if err := json.Unmarshal(b, &rows[i]); err != nil {
			c.s.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &rows[i].fields); err != nil {
			c.s.t.Fatal(err)
		}
	}
	return rows
}

// cvScript manages a webhook from JavaScript: every call goes by fetch with a
// path and the cookie, and every answer has to be JSON that says success.
const cvScript = `
const { BASE, KEY, RECEIVER } = process.env;
let cookie;
const api = async (path, method = "GET", body) => {
  const init = { method, headers: { cookie } };
  if (body) { init.body = JSON.stringify(body); init.headers["content-type"] = "application/json"; }
  const reply = await (await fetch(BASE + path, init)).json();
  if (reply.success !== true) throw new Error(method + " " + path + ": " + JSON.stringify(reply));
  return reply.data;
};
const must = (ok, what, value) => { if (!ok) throw new Error(what + ": " + JSON.stringify(value)); };
(async () => {
  const login = await fetch(BASE + "/v1/session", { method: "POST", body: JSON.stringify({ key: KEY }) });
  cookie = login.headers.get("set-cookie").split(";")[0];
  const hook = await api("/api/webhooks", "POST", { url: RECEIVER, events: ["ai.analysis_completed", "resume.created"], secret: "chosen by its owner", active: true });
  must(/^webhook_/.test(hook.id) && hook.secret === "chosen by its owner" && hook.active === true && /Z$/.test(hook.createdAt), "created", hook);
  const at = "/api/webhooks/" + hook.id;
  let listed = (await api("/api/webhooks")).filter((w) => w.id === hook.id);
  must(listed.length === 1 && listed[0].url === RECEIVER && listed[0].secret !== hook.secret, "listed", listed);
  const test = await api(at + "/test", "POST");
  must(test.event_type === "ai.analysis_completed", "tested", test);
  let rows = [];
  for (let i = 0; i < 600 && !rows.length; i++) {
    rows = await api(at + "/logs?limit=50");
    await new Promise((done) => setTimeout(done, 100));
  }
  must(rows.length === 1 && rows[0].id === test.delivery_id && rows[0].event_id === test.event_id, "logged", rows);
  must(rows[0].status_code === 200 && rows[0].attempts === 1 && Number.isInteger(rows[0].response_time) && !("error" in rows[0]), "logged", rows);
  const changed = await api(at, "PUT", { active: false, events: ["resume.shared"] });
  must(changed.active === false && changed.events.join() === "resume.shared" && changed.url === RECEIVER, "changed", changed);
  await api(at, "DELETE");
  listed = (await api("/api/webhooks")).filter((w) => w.id === hook.id);
  must(listed.length === 0, "deleted", listed);
})().catch((e) => { console.error(e); process.exit(1); });
`

// TestProductsAPIs shows the management APIs of the products on one stack.
func TestProductsAPIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, answerAsTold)
	keyID, key := s.tenantKey("cv", "smartcv", map[string]any{"rate_limit": 6000})
	_, stranger := s.tenantKey("stranger", "smartcv", map[string]any{"rate_limit": 6000})
	cv := s.signIn(key)

	t.Run("SmartCV's client in JavaScript", func(t *testing.T) {
		cmd := exec.Command("node", "-e", cvScript)
		cmd.Env = append(os.Environ(), "BASE="+s.api, "KEY="+key, "RECEIVER="+r.URL+"/webhooks/smartcv")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		q := r.arrived(t, "/webhooks/smartcv", 1)[0]
		mac := hmac.New(sha256.New, []byte("chosen by its owner"))
		mac.Write([]byte(q.header.Get("X-SmartCV-Timestamp") + "." + q.body))
		if got := q.header.Get("X-SmartCV-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) || !strings.Contains(q.body, `"overall_score"`) {
			t.Errorf("the test arrived with %q and %s", got, q.body)
		}
	})
	t.Run("SmartCV's log of failures", func(t *testing.T) { cvFailures(t, cv, r) })
	t.Run("SmartCV's sessions", func(t *testing.T) { cvSessions(t, cv, s, stranger) })
	t.Run("I Hate PPT's calls by curl", func(t *testing.T) { pptCalls(t, s) })
	t.Run("Smart KYC's keys", func(t *testing.T) { kycKeys(t, s) })

	// Last, because it ends the session: a key takes its sessions along.
	s.call(http.MethodDelete, "/v1/tenants/cv/keys/"+keyID, nil, http.StatusNoContent, nil)
	if a := cv.ask(http.MethodGet, "/api/webhooks", nil); a.status != http.StatusUnauthorized {
		t.Errorf("a session whose key is deleted: %d %s", a.status, a.body)
	}
}

// answerAsTold is a receiver whose paths say what it answers.
func answerAsTold(w http.ResponseWriter, r *http.Request, n int) {
	switch r.URL.Path {
	case "/failing":
		w.WriteHeader(http.StatusInternalServerError)
	case "/hanging":
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	case "/second":
		if n == 0 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}
}

// cvFailures: one row per delivery, kept up to date while it is tried again,
// with a time for the next attempt as long as there is one.
func cvFailures(t *testing.T, cv *cvClient, r *sink) {
	failing, second, hanging := cv.create(r.URL+"/failing", "resume.created"), cv.create(r.URL+"/second", "resume.updated"), cv.create(r.URL+"/hanging", "resume.deleted")
	// A shorter timeout is set by the other API, which knows the id too.
	if a := cv.ask(http.MethodPatch, "/v1/webhooks/"+hanging, map[string]any{"timeout_ms": 300, "retry": []float64{}}); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, kind := range []string{"created", "updated", "deleted"} {
		cv.s.publish(`{"tenant":"cv","type":"resume.` + kind + `","id":"of-` + kind + `","data":{"resume":{"id":"resume_1"}}}`)
	}
	planned := 0
	var row cvRow
	eventually(t, "the failing delivery is given up", func() error {
		rows := cv.logs(failing, "")
		if len(rows) != 1 {
			return fmt.Errorf("%d rows", len(rows))
		}
		row = rows[0]
		if row.DeliveredAt != nil || row.has("delivered_at") || row.Error == nil || *row.Error == "" || row.LastAttemptAt == nil || !row.has("next_retry_at") || row.StatusCode == nil || *row.StatusCode != 500 || row.EventID != "of-created" {
			t.Fatalf("a failing delivery's row is %v", row.fields)
		}
		if row.Attempts == 4 {
			return nil
		}
		if row.NextRetryAt != nil {
			planned++
		}
		return fmt.Errorf("%d attempts", row.Attempts)
	})
	if row.NextRetryAt != nil || planned == 0 || r.count("/failing") != 4 {
		t.Errorf("given up as %v; a retry was planned in %d looks; %d requests came", row.fields, planned, r.count("/failing"))
	}
	eventually(t, "the second attempt arrived", func() error {
		rows := cv.logs(second, "")
		if len(rows) != 1 || rows[0].DeliveredAt == nil {
			return fmt.Errorf("%+v", rows)
		}
		if row := rows[0]; row.Attempts != 2 || *row.StatusCode != 200 || row.has("error") || row.has("next_retry_at") || row.has("last_attempt_at") {
			t.Errorf("row %v", row.fields)
		}
		return nil
	})
	eventually(t, "the timeout is logged", func() error {
		rows := cv.logs(hanging, "")
		if len(rows) != 1 {
			return fmt.Errorf("%d rows", len(rows))
		}
		if row := rows[0]; !row.has("status_code") || row.StatusCode != nil || row.Error == nil || *row.Error != "Connection timeout" || row.ResponseTime < 300 || row.NextRetryAt != nil || !row.has("next_retry_at") || row.Attempts != 1 {
			t.Errorf("row %v", row.fields)
		}
		return nil
	})
	// Newest first, and no more than asked for.
	var sent struct {
		DeliveryID string `json:"delivery_id"`
	}
	for range 3 {
		cv.call(http.MethodPost, "/api/webhooks/"+second+"/test", nil, http.StatusOK, &sent)
	}
	eventually(t, "the newest test is the first row", func() error {
		if rows := cv.logs(second, "?limit=2"); len(rows) != 2 || rows[0].ID != sent.DeliveryID {
			return fmt.Errorf("%+v", rows)
		}
		return nil
	})
}

// cvSessions: no session, no change; nothing of another account; no change for
// another site.
func cvSessions(t *testing.T, cv *cvClient, s *stack, stranger string) {
	id := cv.create("https://cv.example/hooks", "resume.created")
	inner := "wh_" + strings.TrimPrefix(id, "webhook_")
	calls := []struct{ method, path string }{
		{http.MethodGet, ""}, {http.MethodPut, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/test"}, {http.MethodGet, "/logs"},
	}
	body := func(method string) any {
		if method == http.MethodPut {
			return map[string]any{"active": false}
		}
		return nil
	}
	other := s.signIn(stranger)
	for _, c := range calls {
		path := "/api/webhooks/" + id + c.path
		if a := s.ask(c.method, path, body(c.method), map[string]string{"Authorization": ""}); a.status != http.StatusUnauthorized || !bytes.Contains(a.body, []byte(`{"success":false,"error":{"code":`)) {
			t.Errorf("%s %s without a session: %d %s", c.method, path, a.status, a.body)
		}
		if a := other.ask(c.method, path, body(c.method)); a.status != http.StatusNotFound || !bytes.Contains(a.body, []byte(`{"success":false,"error":{"code":`)) {
			t.Errorf("%s %s by a stranger: %d %s", c.method, path, a.status, a.body)
		}
		if c.method == http.MethodGet {
			continue
		}
		a := s.ask(c.method, path, body(c.method), map[string]string{"Authorization": "", "Cookie": cv.cookie, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"})
		if a.status != http.StatusForbidden {
			t.Errorf("%s %s for another site: %d %s", c.method, path, a.status, a.body)
		}
	}
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, ""}, {http.MethodPatch, ""}, {http.MethodDelete, ""}, {http.MethodPost, "/rotate-secret"}, {http.MethodPost, "/verify"},
		{http.MethodPost, "/test"}, {http.MethodGet, "/logs"},
	} {
		patch := any(nil)
		if c.method == http.MethodPatch {
			patch = map[string]any{"active": false}
		}
		for _, form := range []string{id, inner} {
			if a := other.ask(c.method, "/v1/webhooks/"+form+c.path, patch); a.status != http.StatusNotFound {
				t.Errorf("%s /v1/webhooks/%s%s by a stranger: %d %s", c.method, form, c.path, a.status, a.body)
			}
		}
	}
	if a := other.ask(http.MethodPost, "/v1/webhooks/test", map[string]any{"webhook_id": id}); a.status != http.StatusNotFound {
		t.Errorf("a stranger's test: %d %s", a.status, a.body)
	}
	var mine, theirs []struct {
		ID     string
		Active bool
	}
	cv.call(http.MethodGet, "/api/webhooks", nil, http.StatusOK, &mine)
	other.call(http.MethodGet, "/api/webhooks", nil, http.StatusOK, &theirs)
	if len(mine) == 0 || mine[0].ID != id || !mine[0].Active || len(theirs) != 0 {
		t.Errorf("after what was refused: %+v, and the stranger has %+v", mine, theirs)
	}
}
