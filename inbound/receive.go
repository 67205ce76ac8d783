package inbound

// Receiver serves the configured sources by HTTP. What it accepted is on
// inbound.raw, acknowledged by all in-sync replicas, before it answers; no
// handler is waited for.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Receiver receives. ServeHTTP may be called before and while Run runs; until
// Ready, repeats of what others received are told from the log as it comes in.
type Receiver struct {
	cfg        ReceiverConfig
	log        *slog.Logger
	byName     map[string]*gate
	byPath     map[string]*gate
	seen       *seen
	tail       *consumer.Tail
	quarantine *quarantine
	metrics    *receiveMetrics
}

// NewReceiver looks up profiles and secrets; a source that has none is refused
// here. Run starts the reading of the log.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Receiver{cfg: cfg, log: cfg.Log, byName: map[string]*gate{}, byPath: map[string]*gate{}}
	for _, s := range cfg.Sources {
		g, err := s.open(&cfg)
		if err != nil {
			return nil, err
		}
		r.byName[s.Name] = g
		for _, p := range s.Paths {
			r.byPath[p] = g
		}
	}
	rules := DeduperConfig{Rules: Rules(cfg.Sources, cfg.Profiles)}
	r.seen = newSeen(cfg.Keys, func(source string) time.Duration { return rules.rule(source).Keep })
	r.tail = consumer.NewTail(consumer.TailConfig{Options: cfg.Options, Topic: cfg.Topology.InboundRawTopic(), Apply: r.seen.apply,
		Since: rules.longest() + windowSlack, Log: cfg.Log})
	r.quarantine = newQuarantine(cfg.Topology, cfg.Append, cfg.Log)
	var err error
	if r.metrics, err = newReceiveMetrics(r, cfg.Registerer); err != nil {
		return nil, err
	}
	return r, nil
}

// windowSlack is read back beyond the longest window: a repeat lies seconds
// after the first of its key, and a receiver that began between the two would
// take it for the first.
const windowSlack = 10 * time.Minute

// Run follows the log until ctx ends. An error means that the log can no
// longer be trusted: the process has to end.
func (r *Receiver) Run(ctx context.Context) error {
	if err := r.tail.Run(ctx); err != nil {
		return fmt.Errorf("following received webhooks: %w", err)
	}
	return nil
}

// Ready reports whether the receiver knows what the windows held when it
// started.
func (r *Receiver) Ready() bool { return r.tail.Ready() }

// Patterns are what ServeHTTP is for, as http.ServeMux takes them.
func (r *Receiver) Patterns() []string {
	out := []string{InPath}
	for p := range r.byPath {
		out = append(out, p)
	}
	return out
}

// ServeHTTP answers one request in the words of its source's product.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g := r.gateOf(req.URL.Path)
	if g == nil {
		write(w, profile.Answer{Status: http.StatusNotFound, ContentType: "application/json", Body: `{"error":"Not found"}`})
		return
	}
	x := &exchange{r: r, gate: g, req: req, start: time.Now(), from: originOf(req, r.cfg.Trusted)}
	defer func() {
		if cause := recover(); cause != nil {
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			x.end(profile.CaseFailed, fmt.Sprintf("panic: %v", cause))
		}
		if x.verdict == profile.CaseMethod {
			w.Header().Set("Allow", http.MethodPost)
		}
		if x.verdict == profile.CaseLimited {
			w.Header().Set("Retry-After", "1")
		}
		write(w, x.answer)
		x.record()
	}()
	x.run(w)
}

func (r *Receiver) gateOf(path string) *gate {
	if g := r.byPath[path]; g != nil {
		return g
	}
	name, ok := strings.CutPrefix(path, InPath)
	if !ok {
		return nil
	}
	return r.byName[name]
}

// write sends an answer: its own bytes and nothing else.
func write(w http.ResponseWriter, a profile.Answer) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h["Content-Type"] = nil // no guess of what an empty body might be
	if a.ContentType != "" {
		h.Set("Content-Type", a.ContentType)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body)) // a sender that went away learns nothing, and tries again
}

// enqueue writes a webhook to inbound.raw and waits for the ack. An error
// without producer.Refused leaves open whether it was written: the log will
// tell, and the sender's next try is then the repeat that it is.
func (r *Receiver) enqueue(ctx context.Context, in *schemas.Inbound) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Enqueue)
	defer cancel()
	type ack struct {
		offset int64
		err    error
	}
	acked := make(chan ack, 1)
	rec := in.Record(r.cfg.Topology, r.cfg.Topology.InboundRawTopic())
	r.cfg.Append(ctx, rec, func(offset int64, err error) { acked <- ack{offset, err} })
	select {
	case a := <-acked:
		if a.err != nil {
			return place{}, fmt.Errorf("enqueueing: %w", a.err)
		}
		return place{rec.Partition, a.offset}, nil
	case <-ctx.Done():
		return place{}, fmt.Errorf("enqueueing: no ack from Kafka within %v", r.cfg.Enqueue)
	}
}

// land takes a verified webhook to its verdict: accepted, or seen before.
func (r *Receiver) land(ctx context.Context, in *schemas.Inbound) (profile.Case, string) {
	if r.seen.known(in.Source, in.Key, schemas.InboundPartition(r.cfg.Topology, in.Key), in.Received) {
		return profile.CaseDuplicate, "the log has it"
	}
	// The sender may hang up: what is under way is then still recorded.
	ctx = context.WithoutCancel(ctx)
	at, err := r.enqueue(ctx, in)
	switch {
	case producer.Refused(err):
		return profile.CaseTooLarge, err.Error()
	case err != nil:
		return profile.CaseFailed, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Verdict)
	defer cancel()
	switch first, told := r.seen.first(ctx, in, at); {
	case !told:
		return profile.CaseAccepted, "on Kafka; the log has not told yet whether it repeats another"
	case first:
		return profile.CaseAccepted, ""
	default:
		return profile.CaseDuplicate, "another copy came first"
	}
}

func newInboundID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends first
	return schemas.NewID(schemas.InboundPrefix, b)
}

// errShort is a body that ended before it was whole.
var errShort = errors.New("the body did not come whole")
