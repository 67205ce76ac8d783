package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestCluster: roles in processes of their own, two dispatchers among them.
// One of those is killed under load and comes back: nothing is lost.
func TestCluster(t *testing.T) {
	s := prepare(t)
	s.needBroker()
	common := []string{"--topic-prefix", s.prefix, "--clickhouse", s.clickhouse}
	role := func(name, roles string) *process {
		p := s.serve(name, append(common, "--roles", roles)...)
		p.up()
		return p
	}
	front := role("front", "api,fanout")
	all := []*process{front, role("mover", "mover"), role("dispatch-a", "dispatch"), role("dispatch-b", "dispatch"), role("sink", "sink")}
	for _, p := range all {
		p.ready()
	}
	s.api = front.api
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		time.Sleep(5 * time.Millisecond)
		if rand.IntN(20) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	const endpoints = 20
	for i := range endpoints {
		s.webhook(map[string]any{"url": fmt.Sprintf("%s/%d", r.URL, i), "retry": []float64{1, 1, 1, 1, 1, 1, 1, 1}})
	}
	var n atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			for range 5 {
				if a := s.ask(http.MethodPost, "/v1/events", fmt.Sprintf(`{"id":"c-%d","type":"a.b","data":1}`, n.Load()), nil); a.status != http.StatusAccepted {
					t.Errorf("publishing: %d %s", a.status, a.body)
					return
				}
				n.Add(1)
			}
		}
	}()
	delivered := func() (have, want int) {
		for i := range endpoints {
			have += r.distinct(fmt.Sprintf("/%d", i))
		}
		return have, int(n.Load()) * endpoints
	}
	for _, victim := range []*process{all[2], all[3]} {
		before, _ := delivered()
		eventually(t, "deliveries are under way", func() error {
			if have, _ := delivered(); have < before+500 {
				return fmt.Errorf("%d", have)
			}
			return nil
		})
		victim.kill()
		have, want := delivered()
		t.Logf("killed with %d of %d delivered", have, want)
		time.Sleep(time.Second)
		victim.up()
		victim.ready()
	}
	close(stop)
	<-stopped
	eventually(t, "every event arrives at every endpoint", func() error {
		if have, want := delivered(); have < want {
			return fmt.Errorf("%d of %d", have, want)
		}
		return nil
	})
	have, _ := delivered()
	s.wantSQL("SELECT made, terminal, pending, difference FROM hookstream.conservation", fmt.Sprintf("%d\t%d\t0\t0", have, have))
	s.wantSQL("SELECT count() - uniqExact(kafka_topic, kafka_partition, kafka_offset) FROM hookstream.attempts", "0")
	for i := len(all) - 1; i >= 0; i-- {
		all[i].stop()
	}
}

// TestRolesNeedOnlyTheirOwn: a process that receives, or that moves retries,
// runs without the master key, the API's key and ClickHouse.
func TestRolesNeedOnlyTheirOwn(t *testing.T) {
	s := prepare(t)
	s.needBroker()
	t.Setenv("SOURCE_SECRET", "of the source")
	common := []string{"serve", "--brokers", s.kafka, "--topic-prefix", s.prefix, "--slots", "8"}
	for role, more := range map[string][]string{"mover": nil, "inbound": {"--source", "cv=smartcv,secret-env=SOURCE_SECRET"}} {
		p := s.serve(role)
		p.args = append(append(common[:len(common):len(common)], "--roles", role, "--listen", strings.TrimPrefix(p.api, "http://"), "--data", filepath.Join(s.dir, role)), more...)
		p.up()
		p.ready()
		p.stop()
	}
}
