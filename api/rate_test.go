package api_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/api"
)

// at sends one request with a key and gives the status.
func at(t *testing.T, m *api.Mux, key string) (status int, retryAfter, body string) {
	t.Helper()
	w := serve(t, m, "GET", "/v1/notes/1", "192.0.2.1:1", map[string]string{"X-API-Key": key}, "")
	return w.Code, w.Header().Get("Retry-After"), w.Body.String()
}

// steady sends n requests a minute for some minutes and counts refusals.
func steady(t *testing.T, m *api.Mux, key string, perMinute, minutes int) (refused int) {
	t.Helper()
	for range perMinute * minutes {
		if status, _, _ := at(t, m, key); status == 429 {
			refused++
		} else if status != 200 {
			t.Fatalf("status %d", status)
		}
		time.Sleep(time.Minute / time.Duration(perMinute))
	}
	return refused
}

// TestBurstOfARestedKey: 200 at once pass, the 201st within the minute does not,
// and who waits as told is served.
func TestBurstOfARestedKey(t *testing.T) {
	m := mux(t, nil)
	synctest.Test(t, func(t *testing.T) {
		for i := range 200 {
			if status, _, body := at(t, m, aliceK); status != 200 {
				t.Fatalf("request %d: %d %s", i+1, status, body)
			}
		}
		status, after, body := at(t, m, aliceK)
		wait, err := strconv.Atoi(after)
		if status != 429 || err != nil || wait < 1 || wait > 60 || !strings.Contains(body, "contact support") {
			t.Fatalf("request 201: %d, Retry-After %q, %s", status, after, body)
		}
		time.Sleep(59 * time.Second)
		if status, _, _ := at(t, m, aliceK); status != 429 {
			t.Errorf("within 60 s of the burst: %d", status)
		}
		time.Sleep(time.Duration(wait)*time.Second - 59*time.Second)
		if status, _, body := at(t, m, aliceK); status != 200 {
			t.Errorf("after waiting as told: %d %s", status, body)
		}
		for range 1000 {
			if status, _, _ := at(t, m, rootKey); status != 200 {
				t.Fatalf("root: %d", status)
			}
		}
	})
}

// TestLastingUse: five minutes above the rate are refused in the end, five
// minutes below it never are; the rate of a key may be raised.
func TestLastingUse(t *testing.T) {
	for _, c := range []struct {
		name      string
		rate      float64 // of the key; 0: the default
		perMinute int
		refused   bool
	}{
		{"95 a minute", 0, 95, false},
		{"100 a minute", 0, 100, false},
		{"120 a minute", 0, 120, true},
		{"120 a minute with a raised limit", 150, 120, false},
		{"180 a minute with a raised limit", 150, 180, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mux(t, func(cfg *api.Config) {
				cfg.Authenticate = func(string) (api.Principal, bool) { return api.Principal{Tenant: "a", KeyID: "k", Rate: c.rate}, true }
			})
			synctest.Test(t, func(t *testing.T) {
				if n := steady(t, m, aliceK, c.perMinute, 5); (n > 0) != c.refused {
					t.Errorf("%d of %d refused", n, 5*c.perMinute)
				}
			})
		})
	}
}

// TestRaisedLimitCountsAtOnce: the operator's change needs no restart.
func TestRaisedLimitCountsAtOnce(t *testing.T) {
	rate := 0.0
	m := mux(t, func(cfg *api.Config) {
		cfg.Authenticate = func(string) (api.Principal, bool) { return api.Principal{Tenant: "a", KeyID: "k", Rate: rate}, true }
	})
	synctest.Test(t, func(t *testing.T) {
		passed := func() (n int) {
			for {
				if status, _, _ := at(t, m, aliceK); status != 200 {
					return n
				}
				n++
			}
		}
		if n := passed(); n != 200 {
			t.Errorf("%d pass by default", n)
		}
		rate = 500
		if n := passed(); n != 1000 {
			t.Errorf("%d pass at 500 a minute", n)
		}
	})
}
