package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestVerdicts: what each answer of a receiver means for its delivery.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	s := start(t)
	var followed string // where the redirect points to
	long := strings.Repeat("é", 40_000)
	hang := make(chan struct{})
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, n int) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, followed, http.StatusFound)
		case "/hangs":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		case "/trickles": // headers in time, a body that never ends
			w.WriteHeader(http.StatusOK)
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("."))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		case "/talks":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(long))
		case "/busy":
			if n == 0 {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		case "/cut":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		case "/created":
			w.WriteHeader(http.StatusCreated)
		}
	})
	t.Cleanup(func() { close(hang) })
	followed = r.URL + "/elsewhere"
	ids := map[string]string{}
	hook := func(name, url string, more map[string]any) {
		fields := map[string]any{"url": url, "events": []string{name + ".made"}, "retry": []float64{}}
		for k, v := range more {
			fields[k] = v
		}
		ids[name], _ = s.webhook(fields)
	}
	hook("moved", r.URL+"/moved", nil)
	hook("hangs", r.URL+"/hangs", map[string]any{"timeout_ms": 300})
	hook("trickles", r.URL+"/trickles", map[string]any{"timeout_ms": 300})
	hook("talks", r.URL+"/talks", nil)
	hook("busy", r.URL+"/busy", map[string]any{"retry": []float64{1, 1}})
	hook("cut", r.URL+"/cut", nil)
	hook("created", r.URL+"/created", nil)
	hook("closed", "http://"+freePort(t)+"/", nil)
	hook("nowhere", "http://no-such-host.invalid/", nil)
	var lines []string
	for name := range ids {
		lines = append(lines, fmt.Sprintf(`{"id":"%s","type":"%s.made","data":1}`, name, name))
	}
	s.publish(lines...)
	for name, want := range map[string]string{ // state, code, error kind, attempts
		"moved":    "error\t302\thttp_3xx\t1",
		"hangs":    "error\t0\ttimeout\t1",
		"trickles": "error\t0\ttimeout\t1", // an answer that does not end is none
		"talks":    "error\t400\thttp_4xx\t1",
		"busy":     "success\t200\t\t2",
		"cut":      "error\t0\treset\t1",
		"created":  "success\t201\t\t1",
		"closed":   "error\t0\trefused\t1",
		"nowhere":  "error\t0\tdns\t1",
	} {
		s.wantSQL("SELECT state, response_code, error_kind, attempts FROM hookstream.deliveries WHERE event_id = '"+name+"'", want)
	}
	if n := r.count("/elsewhere"); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	busy := r.arrived(t, "/busy", 2)
	if gap := busy[1].at.Sub(busy[0].at); gap < 3*time.Second {
		t.Errorf("Retry-After: 3 was honoured for %v", gap)
	}
	if busy[0].body != busy[1].body {
		t.Error("the second attempt has another body")
	}
	s.wantSQL("SELECT min(length(response_body)) > 3000, max(length(response_body)) <= 4096, any(startsWith(response_body, 'ééé')), min(isValidUTF8(response_body)) FROM hookstream.attempts WHERE event_id = 'talks'", "1\t1\t1\t1")
	var logs page
	s.call(http.MethodGet, "/v1/webhooks/"+ids["hangs"]+"/logs", nil, http.StatusOK, &logs)
	if len(logs.Data) != 1 || logs.Data[0].ResponseCode != nil || logs.Data[0].ErrorKind != "timeout" || logs.Data[0].DurationMS < 300 {
		t.Errorf("log of a hanging receiver: %+v", logs.Data)
	}
	s.wantSQL("SELECT difference, pending FROM hookstream.conservation", "0\t0")
}

// TestGone: 410 disables a webhook; what comes later is not sent; its owner
// brings it back.
func TestGone(t *testing.T) {
	t.Parallel()
	s := start(t)
	back := make(chan struct{})
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		select {
		case <-back:
		default:
			w.WriteHeader(http.StatusGone)
		}
	})
	id, _ := s.webhook(map[string]any{"url": r.URL + "/"})
	s.publish(`{"id":"first","type":"a.b","data":1}`)
	eventually(t, "the webhook is disabled", func() error {
		var w struct {
			Status string
			Reason string `json:"disabled_reason"`
		}
		s.call(http.MethodGet, "/v1/webhooks/"+id, nil, http.StatusOK, &w)
		if w.Status != "disabled" || w.Reason != "gone" {
			return fmt.Errorf("%+v", w)
		}
		return nil
	})
	s.publish(`{"id":"second","type":"a.b","data":1}`)
	s.wantSQL("SELECT state IN ('error', 'skipped'), error_kind, attempts FROM hookstream.deliveries WHERE event_id = 'second'", "1\tdisabled\t0")
	if a := s.ask(http.MethodPost, "/v1/webhooks/"+id+"/test", nil, nil); a.status != http.StatusConflict {
		t.Errorf("a test of a disabled webhook: %d %s", a.status, a.body)
	}
	if n := r.count("/"); n != 1 {
		t.Errorf("%d requests", n)
	}
	close(back)
	s.call(http.MethodPatch, "/v1/webhooks/"+id, map[string]any{"active": true}, http.StatusOK, nil)
	s.publish(`{"id":"third","type":"a.b","data":1}`)
	r.byEvent(t, "/", "third")
	s.wantSQL("SELECT count() FROM hookstream.audit WHERE kind = 'disabled' AND endpoint_id = '"+id+"'", "1")
}
