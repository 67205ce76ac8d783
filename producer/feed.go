package producer

// Feed publishes a stream of NDJSON events: the core of `hookstream produce`.

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hookstream/hookstream/schemas"
)

// FeedConfig says how to publish a stream.
type FeedConfig struct {
	Publish   func(context.Context, []schemas.Event) []Result // Publisher.PublishBatch
	Source    schemas.EventSource                             // how lines become events; the zero value: envelopes
	BatchSize int                                             // events per batch; default 500
	LineLimit int                                             // bytes; default 1 MiB
	Progress  func(FeedReport)                                // after every batch; nil: silent. Errors is shared: read only
	KeepErrs  int                                             // how many line errors to keep; default 100
}

// LineError is a line that was not published.
type LineError struct {
	Line int
	Err  error
}

func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives the cause.
func (e LineError) Unwrap() error { return e.Err }

// FeedReport counts what became of the lines so far.
type FeedReport struct {
	Lines     int   // read, blank ones aside
	Published int   // acknowledged by Kafka
	Failed    int   // invalid, too large or not acknowledged
	Bytes     int64 // of all lines
	Errors    []LineError
}

// Feed publishes every line of r and reports on all of them. The report is
// right also when an error is returned: ctx ended, or r could not be read.
func Feed(ctx context.Context, r io.Reader, cfg FeedConfig) (FeedReport, error) {
	if cfg.Publish == nil {
		return FeedReport{}, errors.New("feed: publish is nil; give Publisher.PublishBatch")
	}
	if cfg.BatchSize <= 0 {
		cfg.BatchSize = 500
	}
	if cfg.LineLimit <= 0 {
		cfg.LineLimit = 1 << 20
	}
	if cfg.KeepErrs <= 0 {
		cfg.KeepErrs = 100
	}
	f := feed{cfg: cfg}
	lines := newLineReader(r, cfg.LineLimit)
	for {
		line, err := lines.next()
		var long *LineTooLongError
		switch {
		case errors.As(err, &long):
			f.report.Lines++
			f.fail(lines.line, err)
		case err != nil:
			f.flush(ctx)
			if errors.Is(err, io.EOF) {
				return f.report, ctx.Err()
			}
			return f.report, fmt.Errorf("reading behind line %d: %w", lines.line, err)
		default:
			f.take(lines.line, line)
		}
		if len(f.events) >= cfg.BatchSize || f.bytes >= 4<<20 {
			f.flush(ctx)
		}
		if ctx.Err() != nil {
			f.flush(ctx)
			return f.report, ctx.Err()
		}
	}
}

// feed is one run of Feed.
type feed struct {
	cfg    FeedConfig
	report FeedReport
	events []schemas.Event
	lines  []int
	bytes  int
}

func (f *feed) take(number int, line []byte) {
	f.report.Lines++
	f.report.Bytes += int64(len(line))
	ev, err := schemas.ParseEvent(f.cfg.Source, &schemas.Record{Value: line})
	if err != nil {
		f.fail(number, err)
		return
	}
	f.events, f.lines = append(f.events, ev), append(f.lines, number)
	f.bytes += len(line)
}

func (f *feed) fail(line int, err error) {
	f.report.Failed++
	if len(f.report.Errors) < f.cfg.KeepErrs {
		f.report.Errors = append(f.report.Errors, LineError{Line: line, Err: err})
	}
}

func (f *feed) flush(ctx context.Context) {
	if len(f.events) > 0 {
		for i, r := range f.cfg.Publish(ctx, f.events) {
			if r.Err != nil {
				f.fail(f.lines[i], r.Err)
			} else {
				f.report.Published++
			}
		}
		f.events, f.lines, f.bytes = f.events[:0], f.lines[:0], 0
	}
	if f.cfg.Progress != nil {
		f.cfg.Progress(f.report)
	}
}
