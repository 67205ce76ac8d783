package delivery

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// BenchmarkDeliver is one admitted attempt over a kept connection on
// loopback, receiver included.
func BenchmarkDeliver(b *testing.B) {
	r := receiverOf(b)
	h := newHarness(b, r.URL, func(c *Config) { c.AttemptLevel = -8 })
	d := sample("dlv_1")
	b.ReportAllocs()
	for b.Loop() {
		a := h.Admit("wh_1", schemas.KindEvent, time.Now())
		if out := h.Deliver(context.Background(), a.Token, d); out.Verdict != schemas.Delivered {
			b.Fatalf("%+v", out)
		}
	}
}

// BenchmarkPrepare is what an attempt costs besides the network: body,
// signature, request.
func BenchmarkPrepare(b *testing.B) {
	h := newHarness(b, "http://127.0.0.1:1")
	d := sample("dlv_1")
	b.ReportAllocs()
	for b.Loop() {
		target, p, body, _, ok := h.prepare(d, time.Now())
		if !ok {
			b.Fatal("not prepared")
		}
		if _, err := h.newRequest(context.Background(), &target, p, d, body, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdmit is the question of an endpoint that has never failed.
func BenchmarkAdmit(b *testing.B) {
	h := newHarness(b, "http://127.0.0.1:1")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		h.Release(h.Admit("wh_1", schemas.KindEvent, now).Token)
	}
}

// receiverOf keeps nothing of what it receives.
func receiverOf(b *testing.B) *received {
	r := &received{}
	r.Server = httptest.NewServer(status(200))
	b.Cleanup(r.Close)
	return r
}
