package producer

// Publisher is the library for programs that publish events: validated, with
// an id, acknowledged by all in-sync replicas.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// ErrOutcomeUnknown is joined to the context's error when a publish was given
// up while Kafka had the event in hand: it may be delivered or not. Publishing
// it again under the same id is safe.
var ErrOutcomeUnknown = errors.New("outcome unknown: the event may be written; publish it again with the same id")

// ErrNotSent is joined to the context's error when a publish was given up
// before anything was sent.
var ErrNotSent = errors.New("the event was not sent")

// DataTooLargeError is event data over the limit.
type DataTooLargeError struct{ Size, Limit int }

func (e *DataTooLargeError) Error() string {
	return fmt.Sprintf("data: has %d bytes; the limit is %d: send a reference instead, or raise the data limit", e.Size, e.Limit)
}

// PublisherConfig says where events go.
type PublisherConfig struct {
	Options   []kgo.Opt    // from Options
	Topic     string       // default: hookstream.events
	DataLimit int          // bytes of event data; default: schemas.DefaultDataLimit
	Writer    WriterConfig // zero: DefaultWriterConfig
}

// Receipt is where an event lies.
type Receipt struct {
	ID        string // the event's id: the one given, or the one made
	Topic     string
	Partition int32
	Offset    int64
}

// Result is what became of one event of a batch. The receipt has the id also
// when Err is set, once there is one.
type Result struct {
	Receipt
	Err error
}

// Publisher publishes events. Safe for concurrent use.
type Publisher struct {
	writer *Writer
	topic  string
	limit  int
}

// NewPublisher opens a publisher. It does not wait for a broker; Close it.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Topic == "" {
		cfg.Topic = schemas.DefaultTopology().EventsTopic()
	}
	if cfg.DataLimit == 0 {
		cfg.DataLimit = schemas.DefaultDataLimit
	}
	if cfg.DataLimit < 0 {
		return nil, fmt.Errorf("publisher: data limit is %d bytes; give a positive number", cfg.DataLimit)
	}
	if cfg.Writer == (WriterConfig{}) {
		cfg.Writer = DefaultWriterConfig()
	}
	w, err := NewWriterWith(cfg.Options, cfg.Writer)
	if err != nil {
		return nil, err
	}
	return &Publisher{writer: w, topic: cfg.Topic, limit: cfg.DataLimit}, nil
}

// Publish writes one event and waits until all in-sync replicas have it. An
// event without an id gets one. Errors: *schemas.InvalidEvent names the field;
// *DataTooLargeError and *TooLargeError are about sizes; when ctx ends,
// ErrNotSent or ErrOutcomeUnknown say which. While brokers are away it waits,
// so give ctx a deadline. A failed Publish's receipt has the id, to try again.
func (p *Publisher) Publish(ctx context.Context, ev schemas.Event) (Receipt, error) {
	r := p.PublishBatch(ctx, []schemas.Event{ev})[0]
	return r.Receipt, r.Err
}

// PublishBatch writes events and waits for all of them. There is one result for
// each event, in their order; one that fails does not keep the others back.
func (p *Publisher) PublishBatch(ctx context.Context, events []schemas.Event) []Result {
	b := &batch{results: make([]Result, len(events)), all: make(chan struct{}), open: 1}
	for i := range events {
		ev := events[i]
		res := &b.results[i]
		res.Topic, res.Partition, res.Offset = p.topic, -1, -1
		if res.Err = p.check(&ev); res.Err != nil {
			res.ID = ev.ID
			continue
		}
		res.ID = ev.ID
		rec := ev.Record(p.topic)
		b.begin(i)
		err := p.writer.hand(ctx, &rec, func(partition int32, offset int64, err error) { b.end(i, partition, offset, err) })
		if err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("publishing event %s: %w: %w", ev.ID, ErrNotSent, err)
			}
			b.end(i, -1, -1, err)
		}
	}
	return b.wait(ctx)
}

// check makes the event ready to go: valid, within the limit, with an id.
func (p *Publisher) check(ev *schemas.Event) error {
	if len(ev.Data) > p.limit {
		return &DataTooLargeError{Size: len(ev.Data), Limit: p.limit}
	}
	if err := ev.Check(); err != nil {
		return err
	}
	if ev.ID == "" {
		ev.ID = newEventID()
	}
	return nil
}

func newEventID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends first
	return schemas.NewID(schemas.EventPrefix, b)
}

// Close writes what is in flight, as long as ctx lasts, and ends the client.
func (p *Publisher) Close(ctx context.Context) error { return p.writer.Close(ctx) }

// Prepare asks for the topic's settings ahead of the first Publish: an error
// tells at start that the topic is missing or the broker away.
func (p *Publisher) Prepare(ctx context.Context) error { return p.writer.Prepare(ctx, p.topic) }

// batch gathers results that come on the client's goroutine. Once given up, it
// takes no more, because its results belong to the caller then.
type batch struct {
	mu      sync.Mutex
	results []Result
	waiting map[int]bool
	open    int // results to come, and one for the loop that still hands over
	gone    bool
	all     chan struct{}
}

func (b *batch) begin(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(map[int]bool, len(b.results))
	}
	b.waiting[i] = true
	b.open++
}

func (b *batch) end(i int, partition int32, offset int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return
	}
	delete(b.waiting, i)
	b.results[i].Partition, b.results[i].Offset = partition, offset
	if err != nil {
		b.results[i].Err = err
	}
	b.done()
}

func (b *batch) done() {
	if b.open--; b.open == 0 {
		close(b.all)
	}
}

func (b *batch) wait(ctx context.Context) []Result {
	b.mu.Lock()
	b.done()
	b.mu.Unlock()
	select {
	case <-b.all:
		return b.results
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
	for i := range b.waiting {
		b.results[i].Err = fmt.Errorf("publishing event %s: %w: %w", b.results[i].ID, ErrOutcomeUnknown, ctx.Err())
	}
	return b.results
}
