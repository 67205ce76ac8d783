package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/schemas"
)

// TestGateUntilTheRegistryIsRead: a key that exists must not be told to be
// unknown because this process has not read it yet.
func TestGateUntilTheRegistryIsRead(t *testing.T) {
	tail := func() *consumer.Tail {
		return consumer.NewTail(consumer.TailConfig{Topic: "t", Apply: func(*schemas.Record) {}})
	}
	n := &node{endpoints: tail(), tenants: tail()}
	n.health.node = n
	reached := false
	h := n.health.gate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/webhooks", nil))
	if reached || w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"starting"`) {
		t.Errorf("before the registry is read: reached %v, %d %v %s", reached, w.Code, w.Header(), w.Body)
	}
}
