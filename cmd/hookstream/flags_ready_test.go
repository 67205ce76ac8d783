package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReady(t *testing.T) {
	ready := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked %s", r.URL.Path)
		}
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "registry not applied\n")
		}
	}))
	addr := strings.TrimPrefix(srv.URL, "http://127.0.0.1")
	if code, _, errs := runLine(t, Bodies{}, "ready", "--listen=0.0.0.0"+addr); code != exitFailed || !strings.Contains(errs, "registry not applied") {
		t.Errorf("not ready: %d %s", code, errs)
	}
	ready = true
	if code, out, errs := runLine(t, Bodies{}, "ready", "--listen="+addr); code != exitOK || out != "ready\n" {
		t.Errorf("ready: %d %s %s", code, out, errs)
	}
	srv.Close()
	if code, _, _ := runLine(t, Bodies{}, "ready", "--listen="+addr); code != exitFailed {
		t.Errorf("nobody there: %d", code)
	}
}
