package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// screen is an output that a test reads while the command writes it.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// await waits for a match on the screen and gives its first group.
func (s *screen) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(s.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("no %s on the screen:\n%s", pattern, s)
	return ""
}

// What a profile signs, listen verifies; what was changed, it refuses.
func TestListen(t *testing.T) {
	defer goleak.VerifyNone(t)
	const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, errs screen
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"listen", "--listen=127.0.0.1:0", "--secret=" + secret, "--status=202"}, nil, strings.NewReader(""), &out, &errs, Bodies{})
	}()
	url := "http://" + out.await(t, `Receiving on http://(\S+),`)

	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	standard, _ := set.Get("standard")
	d := &schemas.Delivery{EventID: "evt_1", EventType: "invoice.paid", Profile: "standard", Data: []byte(`{"n":25.0}`)}
	body, err := standard.Body(d)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(sent []byte) int {
		req, err := http.NewRequest(http.MethodPost, url+"/hooks", bytes.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		headers, err := standard.Headers(d, body, [][]byte{[]byte(secret)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			req.Header[h.Key] = []string{string(h.Value)}
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // read whole
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	if got := send(body); got != 202 {
		t.Errorf("rightly signed: %d", got)
	}
	if got := send(bytes.Replace(body, []byte("25.0"), []byte("26.0"), 1)); got != 401 {
		t.Errorf("changed after signing: %d", got)
	}
	out.await(t, `#1 .* POST /hooks · (verified) → 202`)
	out.await(t, `#2 .* (refused) .* → 401`)

	list, err := client.Get(url + "/deliveries")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Received int }
	if err := json.NewDecoder(list.Body).Decode(&got); err != nil || got.Received != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := list.Body.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if c := <-code; c != exitOK || errs.String() != "" {
		t.Errorf("code %d, %s", c, errs.String())
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--profile=nope"}, "there is no such profile"},
		{[]string{"--secret=whsec_hush!"}, "does not suit profile standard"},
		{[]string{"--listen=192.0.2.1:1"}, "listening on --listen 192.0.2.1:1"},
		{[]string{"--listen=" + taken.Addr().String()}, "--listen " + taken.Addr().String() + " is taken by another program; stop it or give another address"},
	} {
		code, _, errs := runLine(t, Bodies{}, append([]string{"listen"}, c.args...)...)
		if code == exitOK || !strings.Contains(errs, c.want) || strings.Contains(errs, "hush") {
			t.Errorf("%v: %d, %s", c.args, code, errs)
		}
	}
}
