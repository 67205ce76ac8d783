package main

// The stack under torture: which processes there are, and how they reach each
// other.

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hookstream/hookstream/internal/devstack"
)

const (
	rootKey   = "torture-root-key"
	slots     = 8
	masterKey = "5f1c5a0e9b3f4d2a8c7e6b1d0f9a8c7b6e5d4c3b2a190817263544536271809f"
)

// role names what a fault can be done to, so that its consequences can be told.
type role string

const (
	roleAPI      role = "api"
	roleFanout   role = "fanout"
	roleMover    role = "mover"
	roleDispatch role = "dispatch"
	roleSink     role = "sink"
	roleReceiver role = "receiver"
	roleKafka    role = "kafka"
	roleEngine   role = "clickhouse"
	roleAll      role = "dev" // every role in one process
)

// part is a process of the stack and the way it reaches others by.
type part struct {
	name  string
	role  role
	proc  victim
	way   string // of toxiproxy; empty: none
	ready string // URL that answers 200 when it works; empty: nothing to wait for
}

type stack struct {
	cfg       Config
	say       func(string, ...any)
	toxi      *toxi
	parts     []*part
	spare     *part // a dispatcher that joins and leaves
	api       *client
	brokers   string // for the run itself, past toxiproxy
	engine    string // http://host:port of ClickHouse, past toxiproxy
	receivers []string
	receipts  []string // files
}

func newStack(ctx context.Context, cfg Config, say func(string, ...any)) (s *stack, err error) {
	s = &stack{cfg: cfg, say: say}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.toxi, err = startToxi(ctx, cfg.Dir); err != nil {
		return s, err
	}
	for _, name := range []string{"receiver-a", "receiver-b"} {
		if err = s.addReceiver(ctx, name); err != nil {
			return s, err
		}
	}
	if cfg.Stack == stackDev {
		err = s.dev()
	} else {
		err = s.cluster(ctx)
	}
	if err != nil {
		return s, err
	}
	for _, p := range s.parts {
		if err = p.proc.start(); err != nil {
			return s, err
		}
	}
	return s, s.awaitReady(ctx, 3*time.Minute)
}

// addReceiver puts a receiver behind a way of its own.
func (s *stack) addReceiver(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	port, err := devstack.FreePort()
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	way, err := s.toxi.proxy(ctx, name, addr)
	if err != nil {
		return err
	}
	file := filepath.Join(s.cfg.Dir, name+".ndjson")
	s.receipts = append(s.receipts, file)
	s.receivers = append(s.receivers, fmt.Sprintf("http://127.0.0.1:%d", way))
	s.parts = append(s.parts, &part{name: name, role: roleReceiver, way: name,
		proc: s.process(name, self, receiveCommand, "--listen", addr, "--file", file)})
	return nil
}

func (s *stack) process(name string, argv ...string) *process {
	return &process{name: name, argv: argv, log: filepath.Join(s.cfg.Dir, name+".log")}
}

// settings are common to every process of hookstream: breakers that open and
// close within a run.
func settings() []string {
	return []string{"--api-key", rootKey, "--master-key", masterKey, "--slots", fmt.Sprint(slots), "--flush", "500ms", "--disable-after", "0",
		"--breaker-cooldown", "2s", "--breaker-max-cooldown", "8s", "--api-rate", "60000", "--drain", "5s", "--log-format", "text"}
}

// dev is one process, with both engines embedded.
func (s *stack) dev() error {
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = devstack.FreePort(); err != nil {
			return err
		}
	}
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	s.api, s.brokers, s.engine = &client{base: "http://" + addr(0)}, addr(1), "http://"+addr(2)
	argv := append([]string{s.cfg.Binary, "dev", "--listen", addr(0), "--kafka", addr(1), "--clickhouse", addr(2), "--data", filepath.Join(s.cfg.Dir, "data")}, settings()...)
	s.parts = append(s.parts, &part{name: "dev", role: roleAll, ready: s.api.base + "/readyz", proc: s.process("dev", argv...)})
	return nil
}

// cluster is a real Kafka and a process for each role, two of them dispatchers.
func (s *stack) cluster(ctx context.Context) error {
	type plan struct {
		name  string
		role  role
		roles string
	}
	plans := []plan{{"api", roleAPI, "api"}, {"fanout", roleFanout, "fanout"}, {"mover", roleMover, "mover"},
		{"dispatch-a", roleDispatch, "dispatch"}, {"dispatch-b", roleDispatch, "dispatch"}, {"sink", roleSink, "sink"}, {"dispatch-c", roleDispatch, "dispatch"}}
	// A client of Kafka goes where the broker tells it to. So each process has
	// a listener of its own, which the broker advertises as the process's way.
	b := &broker{ctx: ctx, cfg: devstack.RealKafkaConfig{Dir: filepath.Join(s.cfg.Dir, "kafka"), Progress: os.Stderr}}
	main, err := devstack.FreePort()
	if err != nil {
		return err
	}
	b.cfg.Port, s.brokers = main, fmt.Sprintf("127.0.0.1:%d", main)
	ways := map[string]int{}
	for _, p := range plans {
		port, err := devstack.FreePort()
		if err != nil {
			return err
		}
		if ways[p.name], err = s.toxi.proxy(ctx, p.name, fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			return err
		}
		b.cfg.Listeners = append(b.cfg.Listeners, devstack.KafkaListener{Port: port, Advertised: ways[p.name]})
	}
	s.parts = append(s.parts, &part{name: "kafka", role: roleKafka, proc: b})

	port, err := devstack.FreePort()
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	s.engine = "http://" + addr
	way, err := s.toxi.proxy(ctx, "clickhouse", addr)
	if err != nil {
		return err
	}
	s.parts = append(s.parts, &part{name: "clickhouse", role: roleEngine, way: "clickhouse", ready: s.engine + "/ping",
		proc: s.process("clickhouse", s.cfg.Binary, "clickhouse", "--listen", addr, "--data", filepath.Join(s.cfg.Dir, "clickhouse"))})
	for _, p := range plans {
		port, err := devstack.FreePort()
		if err != nil {
			return err
		}
		listen := fmt.Sprintf("127.0.0.1:%d", port)
		argv := append([]string{s.cfg.Binary, "serve", "--roles", p.roles, "--brokers", fmt.Sprintf("127.0.0.1:%d", ways[p.name]),
			"--clickhouse", fmt.Sprintf("http://127.0.0.1:%d", way), "--listen", listen, "--data", filepath.Join(s.cfg.Dir, p.name),
			"--instance", p.name, "--allow-private", "--allow-http"}, settings()...)
		one := &part{name: p.name, role: p.role, way: p.name, ready: "http://" + listen + "/readyz", proc: s.process(p.name, argv...)}
		switch p.name {
		case "dispatch-c":
			s.spare = one
		case "api":
			s.api = &client{base: "http://" + listen}
			s.parts = append(s.parts, one)
		default:
			s.parts = append(s.parts, one)
		}
	}
	return nil
}

// awaitReady waits until everything works.
func (s *stack) awaitReady(ctx context.Context, within time.Duration) error {
	for _, p := range s.parts {
		if p.ready == "" {
			continue
		}
		err := await(ctx, p.name, within, func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.ready, nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close() //nolint:errcheck // read only
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answered %s", p.ready, resp.Status)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w; its log is %s", err, filepath.Join(s.cfg.Dir, p.name+".log"))
		}
	}
	return nil
}

// register makes the fleet's webhooks, half of them at each receiver.
func (s *stack) register(ctx context.Context, fleet []webhook) error {
	for _, w := range fleet {
		if err := s.api.call(ctx, http.MethodPost, "/v1/webhooks", w.fields(s.receivers[w.n%len(s.receivers)]), http.StatusCreated); err != nil {
			return fmt.Errorf("registering webhook %d: %w", w.n, err)
		}
	}
	return nil
}

// heal makes everything run again, unhindered.
func (s *stack) heal() {
	for _, p := range s.parts {
		p.proc.signal(syscall.SIGCONT)
		if err := p.proc.start(); err != nil {
			s.say("torture: %v", err)
		}
	}
}

// ended is how often each process ended by itself.
func (s *stack) ended() map[string]int {
	out := map[string]int{}
	for _, p := range append(s.parts[:len(s.parts):len(s.parts)], s.spare) {
		if p != nil && p.proc.endings() > 0 {
			out[p.name] = p.proc.endings()
		}
	}
	return out
}

// close ends every process.
func (s *stack) close() {
	if s.spare != nil {
		s.spare.proc.kill()
	}
	for i := len(s.parts) - 1; i >= 0; i-- {
		s.parts[i].proc.signal(syscall.SIGCONT)
		s.parts[i].proc.kill()
	}
	if s.toxi != nil {
		s.toxi.close()
	}
}
