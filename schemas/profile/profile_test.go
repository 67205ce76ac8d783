package profile_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

var update = flag.Bool("update", false, "write the golden files")

func builtin(t testing.TB, name string) *profile.Profile {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	p, ok := set.Get(name)
	if !ok {
		t.Fatalf("there is no profile %s", name)
	}
	return p
}

func folder(t testing.TB, name string) *profile.Profile {
	t.Helper()
	set, err := profile.Load("testdata/folder")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := set.Get(name)
	if !ok {
		t.Fatalf("there is no profile %s", name)
	}
	return p
}

// delivery is a fixed one, so that goldens stay.
func delivery(eventType string, data []byte) *schemas.Delivery {
	at := time.Date(2025, 3, 4, 5, 6, 7, 891_234_567, time.FixedZone("", 3600))
	return &schemas.Delivery{ID: schemas.NewID(schemas.DeliveryPrefix, [16]byte{1}), EventID: schemas.NewID(schemas.EventPrefix, [16]byte{2}),
		EndpointID: schemas.NewID(schemas.WebhookPrefix, [16]byte{3}), EventType: eventType, Tenant: "acme", EventTime: at, CreatedAt: at, Data: data}
}

func secretFor(p *profile.Profile) []byte {
	if p.Name() == "standard" {
		return []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	}
	return []byte("s3cret-of-" + p.Name())
}

var sentAt = time.Unix(1741064999, 0)

// TestGolden holds the bytes on the wire of every event type of every built-in
// profile. Run with -update after a wanted change, raise the profile's version
// and read the difference.
func TestGolden(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(set.Names(), " "); got != "aiinterview github ihateppt kidsmart smartcv smartkyc standard stripe" {
		t.Errorf("built-in profiles: %s", got)
	}
	for _, name := range set.Names() {
		t.Run(name, func(t *testing.T) {
			p, _ := set.Get(name)
			var out bytes.Buffer
			for _, e := range p.Events() {
				d := delivery(e.Type, []byte(e.Sample))
				body, err := p.Body(d)
				if err != nil {
					t.Fatal(err)
				}
				headers, err := p.Headers(d, body, [][]byte{secretFor(p)}, sentAt)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range headers {
					fmt.Fprintf(&out, "%s: %s\n", h.Key, h.Value)
				}
				fmt.Fprintf(&out, "\n%s\n\n", body)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s differs from what is sent now:\n%s", golden, out.Bytes())
			}
		})
	}
}

func TestBodyOfEachProfile(t *testing.T) {
	for _, c := range []struct {
		profile *profile.Profile
		event   string
		data    string
		change  func(*schemas.Delivery)
		want    string
	}{
		{builtin(t, "standard"), "invoice.paid", `{"a":1}`, nil, `{"type":"invoice.paid","timestamp":"2025-03-04T04:06:07.891234567Z","data":{"a":1}}`},
		{builtin(t, "standard"), "x", `[1, 2]`, func(d *schemas.Delivery) { d.EventTime = time.Time{} }, `{"type":"x","timestamp":"2025-03-04T04:06:07.891234567Z","data":[1, 2]}`},
		{builtin(t, "smartcv"), "resume.created", `{"resume":{}}`, nil,
			`{"id":"event_08000000000000000000000000","type":"resume.created","created":"2025-03-04T04:06:07Z","data":{"resume":{}},"api_version":"2024-12-30"}`},
		{builtin(t, "smartcv"), "resume.created", `{}`, func(d *schemas.Delivery) { d.EventID = "their-own-1" },
			`{"id":"their-own-1","type":"resume.created","created":"2025-03-04T04:06:07Z","data":{},"api_version":"2024-12-30"}`},
		{builtin(t, "smartkyc"), "aml.match.found", `{}`, nil, `{"event":"aml.match.found","timestamp":"2025-03-04T04:06:07Z","data":{},"tenantId":"tenant_acme"}`},
		{builtin(t, "smartkyc"), "aml.match.found", `{}`, func(d *schemas.Delivery) { d.Tenant = "tenant_2" }, `{"event":"aml.match.found","timestamp":"2025-03-04T04:06:07Z","data":{},"tenantId":"tenant_2"}`},
		{folder(t, "stripe-like"), "charge.ok", `{"id":"ch_1"}`, nil,
			`{"id":"evt_08000000000000000000000000","object":"event","api_version":"2025-03-31","created":1741061167,"type":"charge.ok","data":{"object":{"id":"ch_1"}},"livemode":false}`},
		{folder(t, "flat"), "session.closed", ` { "session_id" : 1 }`, nil, ` {"event":"session.closed", "session_id" : 1 }`},
		{folder(t, "flat"), "session.closed", `{"session_id":1,"event":"session.closed"}`, nil, `{"session_id":1,"event":"session.closed"}`},
	} {
		d := delivery(c.event, []byte(c.data))
		if c.change != nil {
			c.change(d)
		}
		got, err := c.profile.Body(d)
		if err != nil || string(got) != c.want {
			t.Errorf("%s %s: %v\n got %s\nwant %s", c.profile.Name(), c.data, err, got, c.want)
		}
		if d.EventTime.IsZero() {
			continue
		}
		// Every attempt, at every endpoint, has the same body: its id, its time.
		d.ID, d.EndpointID, d.Attempts, d.CreatedAt = "dlv_another", "wh_another", 3, d.CreatedAt.Add(time.Hour)
		if got, err := c.profile.Body(d); err != nil || string(got) != c.want {
			t.Errorf("%s %s at another endpoint: %v\n got %s\nwant %s", c.profile.Name(), c.data, err, got, c.want)
		}
	}
}

// nasty are data that encoders would change.
var nasty = []string{
	"{ \"a\" :\t1 ,\r\n \"b\":[ ] }",
	"{\"line\":\"\u2028\u2029\",\"html\":\"<b>&amp;</b>\"}",
	`{"n":25.0,"e":1e3,"z":-0,"big":12345678901234567890,"tiny":0.00000010,"huge":1e400}`,
	`{"u":"\u003c\u2028\ud83d\ude00\/\b","emoji":"😀","lone":"\ud800"}`,
	`{"10":1,"2":2,"a":1,"a":2,"__proto__":null}`,
	"{\"del\":\"\x7f\"}",
	`{}`,
}

func TestDataIsSplicedVerbatim(t *testing.T) {
	set, err := profile.Load("testdata/folder")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"standard", "smartcv", "smartkyc", "stripe-like"} {
		p, _ := set.Get(name)
		event := p.Name() + ".any"
		if !p.Open() {
			event = p.Events()[0].Type
		}
		for _, data := range nasty {
			body, err := p.Body(delivery(event, []byte(data)))
			if err != nil {
				t.Errorf("%s %s: %v", name, data, err)
			} else if !bytes.Contains(body, []byte(data)) || !json.Valid(body) {
				t.Errorf("%s: %s is not in %s", name, data, body)
			}
		}
	}
}

// TestBodyIsAFunctionOfTheRecord: what changes between attempts does not
// change the body, and what went through a record makes the same one.
func TestBodyIsAFunctionOfTheRecord(t *testing.T) {
	p := builtin(t, "smartcv")
	rapid.Check(t, func(t *rapid.T) {
		data, err := json.Marshal(map[string]string{"text": rapid.String().Draw(t, "text")})
		if err != nil {
			t.Fatal(err)
		}
		d := delivery("resume.created", data)
		d.EventTime = time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		first, err := p.Body(d)
		if err != nil {
			t.Fatal(err)
		}
		rec := d.Record("t", 0)
		again, err := schemas.ParseDelivery(&rec)
		if err != nil {
			t.Fatal(err)
		}
		again.Attempts, again.Due, again.Kind = rapid.IntRange(0, 9).Draw(t, "attempts"), time.Now(), schemas.KindReplay
		second, err := p.Body(&again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
	})
}

func TestHeadersHaveExactCasing(t *testing.T) {
	p := folder(t, "flat")
	d := delivery("session.closed", []byte(`{"session_id":1}`))
	d.Attempts = 2
	headers, err := p.Headers(d, d.Data, [][]byte{[]byte("k"), []byte("older")}, sentAt)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range headers {
		got = append(got, h.Key+": "+string(h.Value))
	}
	want := []string{"Content-Type: application/json", "X-Event: session.closed",
		"X-Delivery: dlv_04000000000000000000000000/3/wh_0c000000000000000000000000/acme",
		"X-Hub-Signature-256: sha256=" + hexMAC("k", string(d.Data))}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	if _, err := p.Headers(d, d.Data, nil, sentAt); err == nil {
		t.Error("an unsigned request was made")
	}
}

func TestAccessors(t *testing.T) {
	cv, kyc, std := builtin(t, "smartcv"), builtin(t, "smartkyc"), builtin(t, "standard")
	if cv.HTTP2() || kyc.HTTP2() || !std.HTTP2() {
		t.Error("exact casing needs HTTP/1.1 for the products")
	}
	for code, want := range map[int]bool{200: true, 201: true, 202: true, 203: false, 204: true, 205: false, 206: false, 301: false, 400: false, 500: false, 0: false, 999: false, -1: false} {
		if cv.Success(code) != want {
			t.Errorf("smartcv %d: %v", code, !want)
		}
	}
	if !kyc.Success(299) || kyc.Success(300) || kyc.Success(199) {
		t.Error("smartkyc: 2xx")
	}
	if fmt.Sprint(cv.Schedule(), cv.Jitter(), cv.Timeout(), cv.MaxBody()) != "[1s 2s 4s] 0 30s 102400" {
		t.Error("smartcv", cv.Schedule(), cv.Jitter(), cv.Timeout(), cv.MaxBody())
	}
	if fmt.Sprint(std.Schedule()) != "[5s 5m0s 30m0s 2h0m0s 5h0m0s 10h0m0s 10h0m0s]" || std.Jitter() == 0 {
		t.Error("standard", std.Schedule(), std.Jitter())
	}
	if kyc.SecretOf() != profile.OfTenant || cv.SecretOf() != profile.OfWebhook {
		t.Error("whose secret signs")
	}
	if cv.WirePrefixes() != (profile.Prefixes{Event: "event_", Webhook: "webhook_", Delivery: "delivery_"}) {
		t.Error(cv.WirePrefixes())
	}
	if !cv.Slow(6*time.Second) || cv.Slow(5*time.Second) {
		t.Error("slow is above 5 s")
	}
	if cv.CheckSize(make([]byte, 102400), 0) != nil || cv.CheckSize(make([]byte, 102401), 0) == nil || cv.CheckSize(make([]byte, 102401), 200000) != nil {
		t.Error("body limit")
	}
	if cv.CheckHeader("X-Mine", "v") != nil || cv.CheckHeader("x-smartcv-signature", "v") == nil || cv.CheckHeader("Host", "v") == nil ||
		cv.CheckHeader("A b", "v") == nil || cv.CheckHeader("A", "v\r\nB: c") == nil {
		t.Error("custom headers")
	}
}
