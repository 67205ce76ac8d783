package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestEgressIsJudgedWhenDialing: endpoints that were taken while private
// addresses were allowed, by address and by name, are not connected to once
// they are not; redirects are never followed, whatever is allowed.
func TestEgressIsJudgedWhenDialing(t *testing.T) {
	t.Parallel()
	s := start(t)
	var connections atomic.Int64
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if strings.HasPrefix(r.URL.Path, "/redirect") {
			w.Header().Set("Location", "/inside")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}}
	go func() { _ = inside.Serve(l) }()
	t.Cleanup(func() { inside.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"}
	for i, host := range hosts {
		s.webhook(map[string]any{"url": fmt.Sprintf("http://%s:%s/%d", host, port, i), "events": []string{"inside.*"}, "retry": []float64{}})
	}
	s.webhook(map[string]any{"url": r.URL + "/redirect", "events": []string{"redirect.*"}, "retry": []float64{}})
	s.publish(`{"id":"e-0","type":"redirect.x","data":{}}`, `{"id":"e-1","type":"inside.x","data":{}}`)
	s.wantSQL("SELECT error_kind, response_code FROM hookstream.attempts WHERE event_id = 'e-0'", "http_3xx\t307")
	s.wantSQL("SELECT uniqExact(endpoint_id) FROM hookstream.attempts WHERE event_id = 'e-1'", fmt.Sprint(len(hosts)))
	s.wantSQL("SELECT count() FROM hookstream.attempts WHERE event_id = 'e-1' AND error_kind = 'blocked'", "0")
	if got := r.requests("/inside"); len(got) != 0 {
		t.Errorf("%d requests came where the redirect led", len(got))
	}

	if connections.Load() == 0 {
		t.Error("nobody ever connected: the test shows nothing")
	}
	s.stop()
	s.args = append(s.args, "--allow-private=false", "--allow-http=true")
	s.up()
	before := connections.Load()
	s.publish(`{"id":"e-2","type":"inside.y","data":{}}`)
	s.wantSQL("SELECT uniqExact(endpoint_id), groupUniqArray(error_kind), groupUniqArray(error_message) FROM hookstream.attempts WHERE event_id = 'e-2'",
		fmt.Sprintf("%d\t['blocked']\t['Destination address not allowed']", len(hosts)))
	for _, url := range []string{"http://127.0.0.1/", "http://2130706433/", "http://0177.1/", "http://0x7f.0.0.1/", "http://[::1]/", "http://[::ffff:7f00:1]/", "http://localhost/", "http://127.0.0.1./",
		"http://１２７.0.0.1/", "http://127。0。0。1/", "http://%31%32%37.0.0.1/", "http://user@127.0.0.1/", "http://[fe80::1%25lo]/", "http://169.254.169.254/", "http://168.63.129.16/", "http://[fd00:ec2::254]/",
		"http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::1]/", "http://example.com:22/"} {
		s.call(http.MethodPost, "/v1/webhooks", map[string]any{"url": url}, http.StatusUnprocessableEntity, nil)
	}
	if got := connections.Load(); got != before {
		t.Errorf("%d connections came to a private address", got-before)
	}
}
