package e2e

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawReceiver is a TCP listener that keeps requests as they are on the wire
// and answers 200.
type rawReceiver struct {
	URL string

	mu  sync.Mutex
	got []rawRequest
}

type rawRequest struct {
	head []string // the lines before the body
	body string
}

// line is the value of a header whose name is spelled exactly so.
func (r rawRequest) line(name string) (value string, times int) {
	for _, l := range r.head {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			value = v
			times++
		}
	}
	return value, times
}

func newRawReceiver(t *testing.T) *rawReceiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &rawReceiver{URL: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *rawReceiver) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var q rawRequest
		length := 0
		for {
			l, err := in.ReadString('\n')
			if err != nil {
				return
			}
			l = strings.TrimSuffix(l, "\r\n")
			if l == "" {
				break
			}
			q.head = append(q.head, l)
			if name, v, _ := strings.Cut(l, ": "); strings.EqualFold(name, "Content-Length") {
				length, _ = strconv.Atoi(v)
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		q.body = string(body)
		r.mu.Lock()
		r.got = append(r.got, q)
		r.mu.Unlock()
		if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")); err != nil {
			return
		}
	}
}

// wait gives request n (from 0) to a path.
func (r *rawReceiver) wait(t *testing.T, path string, n int) (found rawRequest) {
	t.Helper()
	eventually(t, fmt.Sprintf("request %d to %s", n, path), func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		seen := 0
		for _, q := range r.got {
			if q.head[0] == "POST "+path+" HTTP/1.1" {
				if seen == n {
					found = q
					return nil
				}
				seen++
			}
		}
		return fmt.Errorf("%d came", seen)
	})
	return found
}

func hmacHex(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// TestWire: the bytes of a request, seen without an HTTP library: casing of
// headers, signatures checked by hand, trace context, custom headers.
func TestWire(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newRawReceiver(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	const secret = "the subscriber's own secret"
	s.webhook(map[string]any{"url": r.URL + "/cv?token=x", "profile": "smartcv", "secret": secret, "events": []string{"resume.created"},
		"headers": map[string]string{"X-aPi-tOKEN": "planted"}})
	const resume = `{ "resume": {"id":"r1", "score" : 25.0, "name":"<José & "} }`
	s.record(s.prefix+"events", `{"id":"cv-1","type":"resume.created","time":"2025-03-04T05:06:07Z","data":`+resume+`}`, "traceparent", trace)
	q := r.wait(t, "/cv?token=x", 0)
	stamp, n := q.line("X-SmartCV-Timestamp")
	if at, err := strconv.ParseInt(stamp, 10, 64); err != nil || n != 1 || time.Since(time.Unix(at, 0)) > 10*time.Minute {
		t.Errorf("X-SmartCV-Timestamp is %q, %d times", stamp, n)
	}
	if got, n := q.line("X-SmartCV-Signature"); n != 1 || got != "sha256="+hmacHex(secret, stamp+"."+q.body) {
		t.Errorf("X-SmartCV-Signature is %q, %d times, over %s", got, n, q.body)
	}
	for name, want := range map[string]string{"traceparent": trace, "X-aPi-tOKEN": "planted", "Content-Type": "application/json", "Accept-Encoding": "identity"} {
		if got, n := q.line(name); got != want || n != 1 {
			t.Errorf("header %s is %q, %d times, want %q\n%s", name, got, n, want, strings.Join(q.head, "\n"))
		}
	}
	if want := `{"id":"cv-1","type":"resume.created","created":"2025-03-04T05:06:07Z","data":` + resume + `,"api_version":"2024-12-30"}`; q.body != want {
		t.Errorf("body:\n got %s\nwant %s", q.body, want)
	}
	s.wantSQL("SELECT trace_id FROM hookstream.attempts WHERE event_id = 'cv-1'", trace[3:35])
	s.record(s.prefix+"events", `{"id":"cv-2","type":"resume.created","data":{}}`, "traceparent", "nonsense")
	if got, n := r.wait(t, "/cv?token=x", 1).line("traceparent"); n != 0 {
		t.Errorf("a malformed trace context was passed on: %q", got)
	}

	// smartkyc signs with the tenant's API Secret, whatever the webhook.
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": "bank", "profile": "smartkyc"}, http.StatusCreated, nil)
	var first, second struct{ Key, Secret string }
	s.call(http.MethodPost, "/v1/tenants/bank/keys", nil, http.StatusCreated, &first)
	var made struct{ ID, Profile, Secret string }
	a := s.ask(http.MethodPost, "/v1/webhooks", map[string]any{"name": "KYC", "url": r.URL + "/kyc", "events": []string{"submission.*"}}, map[string]string{"Authorization": "Bearer " + first.Key})
	if err := json.Unmarshal(a.body, &made); err != nil || a.status != http.StatusCreated || made.Profile != "smartkyc" || made.Secret != "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	send := func(id string) rawRequest {
		s.publish(`{"id":"` + id + `","type":"submission.created","tenant":"bank","time":"2025-03-04T05:06:07Z","data":{"submissionId":"s1"}}`)
		return r.wait(t, "/kyc", int(id[len(id)-1]-'1'))
	}
	q = send("kyc-1")
	if got, n := q.line("X-SmartKYC-Signature"); n != 1 || got != hmacHex(first.Secret, q.body) {
		t.Errorf("X-SmartKYC-Signature is %q, %d times, over %s\n%s", got, n, q.body, strings.Join(q.head, "\n"))
	}
	if want := `{"event":"submission.created","timestamp":"2025-03-04T05:06:07Z","data":{"submissionId":"s1"},"tenantId":"tenant_bank"}`; q.body != want {
		t.Errorf("body:\n got %s\nwant %s", q.body, want)
	}
	s.call(http.MethodPost, "/v1/tenants/bank/rotate", nil, http.StatusOK, &second)
	if second.Secret == "" || second.Secret == first.Secret {
		t.Fatalf("rotated to %+v", second)
	}
	q = send("kyc-2")
	if got, n := q.line("X-SmartKYC-Signature"); n != 1 || got != hmacHex(second.Secret, q.body) {
		t.Errorf("after a rotation X-SmartKYC-Signature is %q, %d times, over %s", got, n, q.body)
	}
}
