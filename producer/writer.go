package producer

// Writer is the pipeline's way into Kafka: nothing it was given is lost while
// the process lives, and what it cannot write ends the process.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/hookstream/hookstream/schemas"
)

// ErrClosed is what records appended after Close get.
var ErrClosed = errors.New("writer is closed")

// Compressions of a WriterConfig.
const (
	CompressLZ4  = "lz4"
	CompressZstd = "zstd"
	CompressNone = "none"
)

// WriterConfig tunes a Writer.
type WriterConfig struct {
	Compression string        // lz4, zstd or none
	Linger      time.Duration // how long a record may wait for company; 0 on the latency path
	MaxBuffered int           // bytes in flight; Append waits above it
}

// DefaultWriterConfig suits the latency path. lz4: with batches of one small
// record, zstd costs more time than its bytes are worth.
func DefaultWriterConfig() WriterConfig {
	return WriterConfig{Compression: CompressLZ4, MaxBuffered: 64 << 20}
}

// Validate names the field that is wrong.
func (c WriterConfig) Validate() error {
	switch {
	case c.Compression != CompressLZ4 && c.Compression != CompressZstd && c.Compression != CompressNone:
		return fmt.Errorf("writer: compression is %q; use lz4, zstd or none", c.Compression)
	case c.Linger < 0 || c.Linger > time.Minute:
		return fmt.Errorf("writer: linger is %s; give 0 to 1m", c.Linger)
	case c.MaxBuffered < 1<<20:
		return fmt.Errorf("writer: max buffered is %d bytes; give at least 1 MiB", c.MaxBuffered)
	}
	return nil
}

// Writer writes records: idempotent, acks=all, for ever retried. It starts no
// goroutine but its Kafka client's, which Close ends. Safe for concurrent use.
type Writer struct {
	client *kgo.Client
	limits *limits
	room   *semaphore.Weighted // bytes that may be in flight
	budget int64
	fatal  chan error
	once   sync.Once
	closed atomic.Bool
}

// recordOverhead is what a buffered record costs beside its bytes.
const recordOverhead = 512

// NewWriter opens a writer with the default settings.
func NewWriter(opts []kgo.Opt) (*Writer, error) { return NewWriterWith(opts, DefaultWriterConfig()) }

// NewWriterWith opens a writer. It does not wait for a broker.
func NewWriterWith(opts []kgo.Opt, cfg WriterConfig) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &Writer{budget: int64(cfg.MaxBuffered), fatal: make(chan error, 1)}
	w.room = semaphore.NewWeighted(w.budget)
	all := append(opts[:len(opts):len(opts)],
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(cfg.Linger),
		kgo.RecordPartitioner(partitioner()),
		kgo.ProducerBatchCompression(codec(cfg.Compression), kgo.NoCompression()),
		// Our own budget admits records, because waiting there can be given up
		// without giving up other records of the partition.
		kgo.MaxBufferedRecords(cfg.MaxBuffered/recordOverhead+1),
		kgo.ProducerBatchMaxBytesFn(w.batchMax),
		// A broker that restarts can hang up on a fresh connection; the client
		// would take that for a wrong SASL setting and fail what is buffered.
		kgo.AlwaysRetryEOF(),
		// About a minute of metadata without the topic: it was deleted.
		kgo.UnknownTopicRetries(20),
	)
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("opening kafka writer: %w", err)
	}
	w.client = client
	w.limits = newLimits(kadm.NewClient(client))
	return w, nil
}

// batchMax keeps a batch within its topic's limit: the broker refuses a batch
// whole, innocent records included.
func (w *Writer) batchMax(topic string) int32 {
	if topic == "" || w.limits == nil {
		return defaultMaxMessage
	}
	if s, ok := w.limits.get(topic); ok {
		return int32(min(max(s.max, 1<<10), 64<<20))
	}
	return defaultMaxMessage
}

func codec(name string) kgo.CompressionCodec {
	switch name {
	case CompressZstd:
		return kgo.ZstdCompression()
	case CompressLZ4:
		return kgo.Lz4Compression()
	default:
		return kgo.NoCompression()
	}
}

// partitioner takes the partition that the record names, and for -1 the one
// that Kafka's own clients would pick for its key.
func partitioner() kgo.Partitioner {
	var keyless atomic.Uint32
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int {
			switch {
			case r.Partition >= 0:
				return int(r.Partition)
			case len(r.Key) == 0:
				return int(keyless.Add(1)) % n
			default:
				return int(schemas.SlotOf(string(r.Key), int32(n)))
			}
		}
	})
}

// Prepare asks for the settings of topics, so that the first Append to each
// need not. It waits for a broker as long as ctx lasts.
func (w *Writer) Prepare(ctx context.Context, topics ...string) error {
	return w.limits.learn(ctx, topics...)
}

// Append hands a record over and returns; done gets its offset once all
// in-sync replicas have it, or -1 and the error. done runs exactly once, on the
// client's goroutine or, for a record refused at once, on the caller's: it must
// not block. Records of one partition are written in the order of their
// Appends.
//
// ctx bounds only the wait for room (see WriterConfig.MaxBuffered): a record
// handed over is written whatever becomes of ctx. An error for which Refused
// is true is about the record; any other is also on Fatal. The record's bytes
// belong to the writer until done.
func (w *Writer) Append(ctx context.Context, rec schemas.Record, done func(offset int64, err error)) {
	err := w.hand(ctx, &rec, func(_ int32, offset int64, err error) { done(offset, err) })
	if err != nil {
		done(-1, err)
	}
}

// hand returns an error only when the record was not handed over; done is then
// not called.
func (w *Writer) hand(ctx context.Context, rec *schemas.Record, done func(partition int32, offset int64, err error)) error {
	if w.closed.Load() {
		return ErrClosed
	}
	takes, ok := w.limits.get(rec.Topic)
	if !ok {
		if err := w.limits.learn(ctx, rec.Topic); err != nil {
			if ctx.Err() == nil {
				w.fail(err)
			}
			return err
		}
		takes, _ = w.limits.get(rec.Topic)
	}
	size := RecordSize(rec)
	if size > takes.max {
		return &TooLargeError{Topic: rec.Topic, Size: size, Limit: takes.max}
	}
	if takes.compact && len(rec.Key) == 0 {
		return &KeylessError{Topic: rec.Topic}
	}
	cost := min(int64(size+recordOverhead), w.budget)
	if err := w.room.Acquire(ctx, cost); err != nil {
		return fmt.Errorf("waiting for room in the writer: %w", err)
	}
	topic := rec.Topic
	w.client.Produce(context.Background(), toKafka(rec), func(r *kgo.Record, err error) {
		w.room.Release(cost)
		if err == nil {
			done(r.Partition, r.Offset, nil)
			return
		}
		if errors.Is(err, kgo.ErrClientClosed) {
			done(-1, -1, ErrClosed)
			return
		}
		// The record passed our checks, so the broker's refusal is of the batch
		// or the partition, and this record may be innocent: it has to be read
		// and written again by a new process, never marked as refused.
		err = fmt.Errorf("producing to %s: %w", topic, err)
		w.fail(err)
		done(-1, -1, err)
	})
	return nil
}

// AppendAll writes records and waits for all of them: nil means that all are
// acked. When ctx ends first, records handed over are still written: the
// outcome is unknown. The first error in the order of recs is returned.
func (w *Writer) AppendAll(ctx context.Context, recs ...schemas.Record) error {
	errs := make([]error, len(recs))
	var wg sync.WaitGroup
	wg.Add(len(recs))
	for i := range recs {
		w.Append(ctx, recs[i], func(_ int64, err error) {
			errs[i] = err
			wg.Done()
		})
	}
	all := make(chan struct{})
	go func() {
		wg.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-ctx.Done():
		select {
		case <-all:
		default:
			return fmt.Errorf("waiting for kafka's acks, so the outcome is unknown: %w", ctx.Err())
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Fatal delivers, once, the error that must end the process: a record that was
// accepted could not be written. What was not acked is then read and written
// again by the next process.
func (w *Writer) Fatal() <-chan error { return w.fatal }

func (w *Writer) fail(err error) {
	w.once.Do(func() { w.fatal <- err })
}

// Close writes what is in flight, as long as ctx lasts, and ends the client.
// Records still unwritten then get ErrClosed, and Close returns ctx's error.
func (w *Writer) Close(ctx context.Context) error {
	if w.closed.Swap(true) {
		return nil
	}
	err := w.client.Flush(ctx)
	w.client.Close()
	if err != nil {
		return fmt.Errorf("flushing kafka writer: %w", err)
	}
	return nil
}

// toKafka copies no bytes.
func toKafka(rec *schemas.Record) *kgo.Record {
	r := &kgo.Record{Topic: rec.Topic, Partition: rec.Partition, Key: rec.Key, Value: rec.Value, Timestamp: rec.Time}
	if len(rec.Headers) > 0 {
		r.Headers = make([]kgo.RecordHeader, len(rec.Headers))
		for i, h := range rec.Headers {
			r.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	return r
}
