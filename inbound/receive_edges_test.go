package inbound

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// TestReceiveEveryProfile: the samples of every built-in profile, signed by the
// sender's half of the profile, are accepted at /in/NAME; with a byte more
// they are not.
func TestReceiveEveryProfile(t *testing.T) {
	set := builtin(t)
	var sources []string
	for _, name := range set.Names() {
		sources = append(sources, name+"-source="+name+",secret-env=OTHER,SECRET")
	}
	x := receive(t, kafkatest.Start(t), nil, sources...)
	total := 0
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		for i, e := range p.Events() {
			d := &schemas.Delivery{ID: fmt.Sprintf("dlv_%d", i), EventID: fmt.Sprintf("evt-%d", i), EventType: e.Type, Tenant: "acme", EndpointID: "wh_1", Data: bytes.ReplaceAll([]byte(e.Sample), []byte("_"), fmt.Appendf(nil, "_%d", i))}
			body, err := p.Body(d)
			if err != nil {
				d.Data = []byte(e.Sample) // a name of a field has a _
				if body, err = p.Body(d); err != nil {
					t.Fatal(err)
				}
			}
			headers, err := p.Headers(d, body, [][]byte{[]byte(testSecret)}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			h := map[string]string{}
			for _, one := range headers {
				h[one.Key] = string(one.Value)
			}
			path := InPath + name + "-source"
			unsigned := p.Answer(profile.CaseBadSignature)
			x.want(name+" "+e.Type+", changed", x.post(path, string(body)+" ", h), unsigned.Status, unsigned.Body)
			accepted := p.Answer(profile.CaseAccepted)
			x.want(name+" "+e.Type, x.post(path, string(body), h), accepted.Status, accepted.Body)
			total++
		}
	}
	kinds := map[string]bool{}
	for _, in := range x.raw() {
		if in.Type == "" || in.Unlisted || in.Profile+"-source" != in.Source {
			t.Errorf("a record has type %q, unlisted %v, profile %s of source %s", in.Type, in.Unlisted, in.Profile, in.Source)
		}
		kinds[in.Profile+" "+in.Type] = true
	}
	if len(kinds) != total {
		t.Errorf("%d types arrived, want %d", len(kinds), total)
	}
}

func TestReceiveSizes(t *testing.T) {
	x := receive(t, kafkatest.Start(t), func(c *ReceiverConfig) { c.MaxBody = 1000 }, "kyc=smartkyc,secret-env=SECRET")
	body := func(n int) string {
		b := `{"event":"submission.created","data":{"submissionId":"` // the rest has 4
		return b + strings.Repeat("x", n-len(b)-4) + `"}}` + "\n"
	}
	fits, large := body(1000), body(1001)
	x.want("as large as may be", x.post("/in/kyc", fits, smartkyc(fits)), 200, `{"status":"success"}`)
	x.want("a byte more", x.post("/in/kyc", large, smartkyc(large)), 413, `{"error":"Payload too large"}`)
	chunked := io.MultiReader(strings.NewReader(large)) // no length is announced
	x.want("a byte more, in pieces", x.send(http.MethodPost, "/in/kyc", chunked, smartkyc(large)), 413, `{"error":"Payload too large"}`)
	if raw := x.raw(); len(raw) != 1 || !strings.HasPrefix(raw[0].Key, "submission.created:") && !strings.HasPrefix(raw[0].Key, "sha256:") {
		t.Errorf("inbound.raw has %d records", len(raw))
	}
}

// TestReceiveLongKeys: a key that would not fit a record is kept as its hash,
// and still finds repeats.
func TestReceiveLongKeys(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "kids=kidsmart,secret-env=SECRET")
	body := func(last string) string {
		return `{"type":"fluency","assessment_id":"` + strings.Repeat("x", 900_000) + last + `"}`
	}
	for _, b := range []string{body("1"), body("2"), body("1")} {
		x.want("long key", x.post("/in/kids", b, kidsmart(b, ts(0))), 200, `{"status":"success"}`)
	}
	raw := x.raw()
	if len(raw) != 2 || raw[0].Key == raw[1].Key || len(raw[0].Key) > maxKey {
		t.Errorf("%d records, keys of %d bytes", len(raw), len(raw[0].Key))
	}
}

func TestReceiveAllowedAddresses(t *testing.T) {
	cluster := kafkatest.Start(t)
	x := receive(t, cluster, func(c *ReceiverConfig) {
		c.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	}, "here=smartkyc,secret-env=SECRET,allow=203.0.113.0/24,allow=2001:db8::/32", "anywhere=smartkyc,secret-env=SECRET")
	body := `{"event":"submission.created","data":{"submissionId":"s"}}`
	for forwarded, want := range map[string]int{
		"203.0.113.9":              200,
		"2001:db8::1":              200,
		"::ffff:203.0.113.9":       200,
		"198.51.100.1":             403,
		"203.0.113.9, 192.0.2.1":   403, // the sender's own claim stands before what the proxy saw
		"192.0.2.1, 203.0.113.9":   200,
		"203.0.113.9, 10.1.2.3":    200, // a second proxy of ours
		"":                         403,
		"203.0.113.9, somebody":    403,
		"203.0.113.9:443":          403,
		"203.0.113.9,203.0.114.10": 403,
	} {
		h := smartkyc(body)
		if forwarded != "" {
			h["X-Forwarded-For"] = forwarded
		}
		if a := x.post("/in/here", body, h); a.status != want {
			t.Errorf("forwarded for %q: %d %s, want %d", forwarded, a.status, a.body, want)
		}
	}
	x.want("another source", x.post("/in/anywhere", body, smartkyc(body)), 200, `{"status":"success"}`)
	// Without a trusted proxy the header is the sender's word.
	y := receive(t, cluster, nil, "here=smartkyc,secret-env=SECRET,allow=203.0.113.0/24", "loop=smartkyc,secret-env=SECRET,allow=127.0.0.1,::1")
	h := smartkyc(body)
	h["X-Forwarded-For"] = "203.0.113.9"
	y.want("a claim", y.post("/in/here", body, h), 403, `{"error":"Forbidden"}`)
	y.want("the connection's address", y.post("/in/loop", body, smartkyc(body)), 200, `{"status":"success"}`)
}

func TestReceiveInsistsOnHTTPS(t *testing.T) {
	const source = "kyc=smartkyc,secret-env=SECRET,https=required"
	body := `{"event":"submission.created","data":{"submissionId":"s"}}`
	with := func(proto string) map[string]string {
		h := smartkyc(body)
		h["X-Forwarded-Proto"] = proto
		return h
	}
	cluster := kafkatest.Start(t)
	x := receive(t, cluster, nil, source)
	x.want("http", x.post("/in/kyc", body, smartkyc(body)), 403, `{"error":"HTTPS required"}`)
	x.want("the sender's word", x.post("/in/kyc", body, with("https")), 403, `{"error":"HTTPS required"}`)
	y := receive(t, cluster, func(c *ReceiverConfig) { c.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }, source)
	y.want("the proxy says http", y.post("/in/kyc", body, with("http")), 403, `{"error":"HTTPS required"}`)
	y.want("the proxy says https", y.post("/in/kyc", body, with("https")), 200, `{"status":"success"}`)
	srv := httptest.NewTLSServer(x.r)
	defer srv.Close()
	req, _ := http.NewRequest(http.MethodPost, srv.URL+"/in/kyc", strings.NewReader(body))
	req.Header["X-SmartKYC-Signature"] = []string{hexMAC(testSecret, body)}
	resp, err := srv.Client().Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("https: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestReceiveRateLimit(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "slow=smartkyc,secret-env=SECRET,rate=0.001", "fast=smartkyc,secret-env=SECRET")
	body := `{"event":"submission.created","data":{"submissionId":"s"}}`
	x.want("the first", x.post("/in/slow", body, smartkyc(body)), 200, `{"status":"success"}`)
	a := x.post("/in/slow", body, smartkyc(body))
	if x.want("the second", a, 429, `{"error":"Too many requests"}`); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for range 20 {
		x.want("another source", x.post("/in/fast", body, smartkyc(body)), 200, `{"status":"success"}`)
	}
}

// TestReceiveQuarantine: refused requests are kept, cut short and without what
// could be used again, and only so many of them.
func TestReceiveQuarantine(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "kids=kidsmart,secret-env=SECRET,path=/webhook", "others=smartcv,secret-env=SECRET")
	body := `{"type":"fluency","assessment_id":"as_1","note":"` + strings.Repeat("é", 5000) + `"}`
	h := kidsmart(body, ts(-time.Hour))
	h["Authorization"], h["Cookie"], h["X-Api-Key"], h["X-Request-Id"] = "Bearer hunter2", "session=hunter2", "hunter2", "r-1"
	x.want("stale", x.post("/webhook", body, h), 401, `{"error":"Invalid signature"}`)
	var records []schemas.Record
	eventually(t, "the request is quarantined", func() bool {
		records = landed(t, x.cluster, x.cluster.Topology.QuarantineTopic())
		return len(records) == 1
	})
	var q schemas.Refused
	if err := json.Unmarshal(records[0].Value, &q); err != nil {
		t.Fatal(err)
	}
	if string(records[0].Key) != "kids" || q.Source != "kids" || q.Verdict != "stale" || q.Reason == "" || q.Size != len(body) || len(q.Body) > schemas.RefusedExcerpt ||
		!strings.HasPrefix(body, q.Body) || len(q.Body) < 4000 || q.Path != "/webhook" || q.Headers["X-Request-Id"] != "r-1" || q.Received.IsZero() || q.Remote != "127.0.0.1" {
		t.Errorf("%s: %+v", records[0].Key, q)
	}
	for _, stolen := range []string{"hunter2", h["X-KidSmart-Signature"], testSecret} {
		if bytes.Contains(records[0].Value, []byte(stolen)) {
			t.Errorf("the record holds %q", stolen)
		}
	}
	for range quarantineBurst + 100 {
		x.post("/webhook", body, h)
	}
	if x.r.quarantine.dropped.Load() == 0 {
		t.Error("every refused request is quarantined, however many come")
	}
	x.post("/in/others", "unsigned", nil)
	eventually(t, "the request to a source that was not flooded is quarantined too", func() bool {
		return slices.ContainsFunc(landed(t, x.cluster, x.cluster.Topology.QuarantineTopic()), func(r schemas.Record) bool { return string(r.Key) == "others" })
	})
	x.post("/webhook", "\xff\xfe", h)
	if q.SetBody([]byte("\xff\xfe")); q.Base64 != "//4=" || q.Body != "" {
		t.Errorf("a body that is no text became %+v", q)
	}
}

// TestQuarantinedHeaders: the header that a profile signs with is taken out
// whatever its name.
func TestQuarantinedHeaders(t *testing.T) {
	h := http.Header{"X-Digest": {"abc"}, "X-Auth-Info": {"abc"}, "X-Request-Id": {"r-1"}, "Odd": {strings.Repeat("x", 2*maxHeader) + "\xff"}}
	for i := range 3 * maxHeaders {
		h[fmt.Sprintf("Zz-%d", i)] = []string{"z"}
	}
	got := safeHeaders(h, func(name string) bool { return name == "X-Digest" })
	if got["X-Digest"] != removed || got["X-Auth-Info"] != removed || got["X-Request-Id"] != "r-1" || len(got["Odd"]) != maxHeader || len(got) != maxHeaders {
		t.Errorf("%d headers: %v", len(got), got)
	}
	p, _ := builtin(t).Get("github")
	if !p.Signs("x-hub-signature-256") || p.Signs("X-GitHub-Event") {
		t.Error("the profile does not know which header has its signature")
	}
}

func TestReceiveMetrics(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "interviews=aiinterview,secret-env=SECRET", "ppt=ihateppt,secret-env=SECRET")
	body := `{"event":"interview.completed","session_id":"ses_1"}`
	x.post("/in/interviews", body, aiinterview(body))
	x.post("/in/interviews", body, aiinterview(body))
	x.post("/in/interviews", body, nil)
	for i := range 3 {
		odd := fmt.Sprintf(`{"event":"made.up.%d","session_id":"ses_1"}`, i)
		x.post("/in/interviews", odd, aiinterview(odd))
		x.post("/in/interviews", odd, nil)
	}
	challenge := `{"type":"webhook.verification","data":{"challenge":"x"}}`
	x.post("/in/ppt", challenge, ihateppt(challenge))
	x.post("/in/nobody", body, nil)
	want := `
# HELP webhooks_received_total Total webhooks received
# TYPE webhooks_received_total counter
webhooks_received_total{event="interview.completed",status="failure"} 1
webhooks_received_total{event="interview.completed",status="success"} 2
webhooks_received_total{event="other",status="failure"} 3
webhooks_received_total{event="other",status="success"} 3
webhooks_received_total{event="webhook.verification",status="success"} 1
`
	page := httptest.NewRecorder()
	promhttp.HandlerFor(x.metrics, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var got strings.Builder
	for line := range strings.Lines(page.Body.String()) {
		if strings.Contains(line, "webhooks_received_total") {
			got.WriteString(line)
		}
	}
	if got.String() != want[1:] {
		t.Errorf("the metric is\n%swant%s", got.String(), want)
	}
}

// TestReceivePanics: whatever breaks, the sender is told to try again and the
// log has the cause.
func TestReceivePanics(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "interviews=aiinterview,secret-env=SECRET,answers=json")
	x.r.seen = nil // the first use breaks
	body := `{"event":"interview.completed","session_id":"ses_1"}`
	x.want("a broken receiver", x.post("/in/interviews", body, aiinterview(body)), 500, `{"error":"Internal server error"}`)
	if line := x.log.last("level=ERROR", "panic: ", "session_id=ses_1"); line == "" {
		t.Errorf("the cause is not in the log:\n%s", x.log)
	}
}

// TestReceiveDeepBodies: a body of brackets is refused, signed or not, and the
// receiver lives on.
func TestReceiveDeepBodies(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "kids=kidsmart,secret-env=SECRET")
	x.want("deep", x.post("/in/kids", strings.Repeat(`{"a":[`, 100_000), nil), 401, `{"error":"Invalid signature"}`)
	body := `{"type":"fluency","assessment_id":"as_1","x":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`
	x.want("deep and signed", x.post("/in/kids", body, kidsmart(body, ts(0))), 400, `{"error":"Invalid payload"}`)
	body = `{"type":"fluency","assessment_id":"as_1","x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`
	x.want("not that deep", x.post("/in/kids", body, kidsmart(body, ts(0))), 200, `{"status":"success"}`)
}
