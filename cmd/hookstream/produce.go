package main

// The command "produce": events from a file or standard input to Kafka, with a
// progress bar on a terminal.

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hookstream/hookstream/producer"
)

func runProduce(ctx context.Context, inv Invocation) error {
	input, total, err := openInput(inv)
	if err != nil {
		return err
	}
	defer input.Close()
	options, err := producer.Options(inv.Config.Connection())
	if err != nil {
		return err
	}
	topology := inv.Config.Topology()
	writer := producer.DefaultWriterConfig()
	writer.Linger = 5 * time.Millisecond
	publisher, err := producer.NewPublisher(producer.PublisherConfig{Options: options, Topic: topology.EventsTopic(), DataLimit: topology.DataLimit, Writer: writer})
	if err != nil {
		return err
	}
	defer publisher.Close(ctx)
	check, cancel := context.WithTimeout(ctx, 15*time.Second)
	err = publisher.Prepare(check)
	cancel()
	if err != nil {
		return fmt.Errorf("asking for topic %s at %s: %w", topology.EventsTopic(), strings.Join(inv.Config.Brokers, ","), err)
	}
	bar := &progress{w: inv.Stderr, total: total, live: isTerminal(inv.Stderr)}
	stop := bar.watch(ctx, strings.Join(inv.Config.Brokers, ","))
	report, err := producer.Feed(ctx, input, producer.FeedConfig{Publish: publisher.PublishBatch, Progress: bar.show})
	stop()
	bar.end(report)
	for _, e := range report.Errors {
		fmt.Fprintf(inv.Stderr, "line %d: %v\n", e.Line, e.Err)
	}
	if more := report.Failed - len(report.Errors); more > 0 {
		fmt.Fprintf(inv.Stderr, "and %d more lines\n", more)
	}
	fmt.Fprintf(inv.Stdout, "published %d of %d events\n", report.Published, report.Lines)
	if err != nil {
		return err
	}
	if report.Failed > 0 {
		return fmt.Errorf("%d of %d lines were not published", report.Failed, report.Lines)
	}
	return nil
}

// openInput is the named file, or standard input for "-" and for no name;
// total is its size in bytes, or 0 when that is not known.
func openInput(inv Invocation) (r io.ReadCloser, total int64, err error) {
	switch {
	case len(inv.Args) > 1:
		return nil, 0, Usage("hookstream produce takes one FILE, or - for standard input")
	case len(inv.Args) == 0 || inv.Args[0] == "-":
		return io.NopCloser(inv.Stdin), 0, nil
	}
	f, err := os.Open(inv.Args[0])
	if err != nil {
		return nil, 0, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		total = info.Size()
	}
	return f, total, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// silence is how long nothing may be acked before a person is told.
const silence = 10 * time.Second

// progress draws one line that is written over, and says when nothing moves.
type progress struct {
	w     io.Writer
	total int64 // bytes; 0: unknown
	live  bool
	start time.Time
	drawn time.Time

	moved chan struct{} // something was acked; room for one
}

// watch says once per silence that the brokers do not answer: what is not acked
// is tried for as long as the command runs. The function that it returns ends it
// and waits until it has ended.
func (p *progress) watch(ctx context.Context, brokers string) (stop func()) {
	p.moved = make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		told := false
		timer := time.NewTimer(silence)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.moved:
				told = false
				timer.Reset(silence)
			case <-timer.C:
				if !told {
					told = true
					fmt.Fprintf(p.w, "no answer from %s for %s; trying on, Ctrl-C gives up\n", brokers, silence)
				}
			}
		}
	}()
	return func() { cancel(); <-ended }
}

func (p *progress) show(r producer.FeedReport) {
	select {
	case p.moved <- struct{}{}:
	default:
	}
	now := time.Now()
	if p.start.IsZero() {
		p.start = now
	}
	if !p.live || now.Sub(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = now
	p.draw(r)
}

func (p *progress) draw(r producer.FeedReport) {
	rate := float64(r.Published) / max(time.Since(p.start).Seconds(), 0.001)
	bar := ""
	if p.total > 0 {
		const width = 30
		done := int(min(r.Bytes*width/p.total, width))
		bar = "[" + strings.Repeat("#", done) + strings.Repeat(".", width-done) + "] "
	}
	fmt.Fprintf(p.w, "\r%s%d events, %d failed, %.0f/s ", bar, r.Published, r.Failed, rate)
}

func (p *progress) end(r producer.FeedReport) {
	if p.live && !p.start.IsZero() {
		p.draw(r)
		fmt.Fprintln(p.w)
	}
}
