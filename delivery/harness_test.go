package delivery

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

func TestMain(m *testing.M) {
	// net/http reads them once per process, so they have to be there from the
	// start: see TestProxyOfTheEnvironmentIsIgnored.
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		os.Setenv(name, "http://127.0.0.1:1")
	}
	goleak.VerifyTestMain(m)
}

// harness is a Courier with one endpoint, wh_1, whose target a test may change.
type harness struct {
	*Courier
	target  endpoint.Target
	found   bool
	log     *bytes.Buffer
	mu      sync.Mutex
	notices []schemas.Notice
}

const testSecret = "a-secret-nobody-may-see"

func newHarness(t testing.TB, url string, change ...func(*Config)) *harness {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{found: true, log: &bytes.Buffer{}, target: endpoint.Target{ID: "wh_1", Tenant: "acme", URL: url, Profile: "smartcv", Secrets: [][]byte{[]byte(testSecret)}}}
	cfg := DefaultConfig()
	cfg.Target = func(id string) (endpoint.Target, bool) { return h.target, h.found && id == "wh_1" }
	cfg.Profiles = set
	cfg.Egress = egress.Policy{AllowPrivate: true, AllowHTTP: true}
	cfg.Log = slog.New(slog.NewJSONHandler(h.log, nil))
	cfg.Breaker.Jitter = 0
	cfg.Notice = func(n schemas.Notice) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notices = append(h.notices, n)
	}
	for _, f := range change {
		f(&cfg)
	}
	if h.Courier, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func sample(id string) *schemas.Delivery {
	return &schemas.Delivery{ID: id, EventID: "evt_x", EventType: "resume.created", Tenant: "acme", EndpointID: "wh_1", Kind: schemas.KindEvent,
		EventTime: time.Unix(1741064999, 0), CreatedAt: time.Unix(1741064999, 0), Profile: "smartcv", ProfileVersion: 1, Data: []byte(`{"resume":{}}`)}
}

// send admits and delivers.
func (h *harness) send(t testing.TB, d *schemas.Delivery) schemas.Outcome {
	t.Helper()
	a := h.Admit(d.EndpointID, d.Kind, time.Now())
	if a.Kind != schemas.Go {
		t.Fatalf("not admitted: %+v", a)
	}
	return h.Deliver(context.Background(), a.Token, d)
}

// received is a receiver that keeps what it got and answers as told.
type received struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func receiver(t testing.TB, answer http.HandlerFunc) *received {
	r := &received{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, req), append(r.bodies, string(body))
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *received) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
