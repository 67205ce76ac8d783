package main

// The command "tail": attempts as they are made.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// errStreamEnded is a stream that its server ended or that broke.
var errStreamEnded = errors.New("the stream ended")

// stream reads server-sent events until ctx ends, each fails, or the stream
// ends: errStreamEnded.
func (c *apiClient) stream(ctx context.Context, path string, query url.Values, each func(event string, data []byte) error) error {
	resp, err := c.send(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // a stream has no end to read to
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var event string
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			event = string(value)
		case "data":
			data = append(data, value...)
		}
		if len(line) == 0 && event != "" {
			if err := each(event, data); err != nil {
				return err
			}
			event, data = "", nil
		}
	}
	if ctx.Err() != nil {
		return context.Canceled
	}
	return errStreamEnded
}

func tailVerb() verb {
	var l listing
	var js bool
	flags := flagsOf(l.param("webhook", "webhook_id", "of this `WEBHOOK`"), l.param("type", "event_type", "of this event `TYPE`, or resume.*"),
		l.statusFilter(), l.param("tenant", "tenant", "root key only: of this `TENANT`"), func(fs *flag.FlagSet) {
			fs.BoolVar(&js, "json", false, "the API's own JSON, one object a line")
		})
	return verb{short: "attempts as they are made", flags: flags, run: func(ctx context.Context, e *errand) error {
		l.limit = 1 // lists have one, this has not
		query, err := l.values()
		if err != nil {
			return err
		}
		return e.tail(ctx, query, js)
	}}
}

// Waits between connections.
const (
	tailWait    = time.Second
	tailMaxWait = 15 * time.Second
)

// tail prints until ctx ends. Once it was connected it connects again and
// again, but for an answer that refuses.
func (e *errand) tail(ctx context.Context, query url.Values, js bool) error {
	paint, connected, wait := e.colours(), false, tailWait
	for {
		err := e.client().stream(ctx, "/v1/tail", query, func(event string, data []byte) error {
			switch event {
			case "listening":
				connected, wait = true, tailWait
				_, err := fmt.Fprintln(e.err, "listening for attempts; Ctrl-C ends")
				return err
			case "lost":
				var lost struct{ Rows int64 }
				_ = json.Unmarshal(data, &lost) // the count is all it says
				_, err := fmt.Fprintf(e.err, "%d attempts were not shown: they came faster than they could be written\n", lost.Rows)
				return err
			case "attempt":
				if js {
					return printJSON(e.out, data)
				}
				var r deliveryRow
				if err := json.Unmarshal(data, &r); err != nil {
					return fmt.Errorf("reading an attempt: %w", err)
				}
				_, err := fmt.Fprintln(e.out, e.attemptLine(&r, paint))
				return err
			}
			return nil
		})
		var problem *apiProblem
		refused := errors.As(err, &problem) && problem.Status < 500
		if ctx.Err() != nil {
			return context.Canceled
		}
		if refused || !connected || !errors.Is(err, errStreamEnded) && !transient(err) {
			return err
		}
		fmt.Fprintf(e.err, "the connection ended; again in %v\n", wait)
		select {
		case <-ctx.Done():
			return context.Canceled
		case <-time.After(wait):
		}
		wait = min(2*wait, tailMaxWait)
	}
}

// transient is a failure to reach a server that was there before.
func transient(err error) bool {
	var problem *apiProblem
	return errors.As(err, &problem) && problem.Status >= 500 || strings.HasPrefix(err.Error(), "nothing answers at") || strings.HasPrefix(err.Error(), "asking ")
}

// attemptLine is one attempt in one line.
func (e *errand) attemptLine(r *deliveryRow, paint colours) string {
	colour := paint.green
	switch r.Status {
	case "pending":
		colour = paint.yellow
	case "error":
		colour = paint.red
	case "skipped":
		colour = paint.dim
	}
	line := fmt.Sprintf("%s %s%-7s %s%s %dms #%d %s %s %s", time.Now().Format("15:04:05"), colour, visible(r.Status), visible(r.why()), paint.off,
		r.DurationMS, r.Attempts, visible(r.EventType), visible(r.WebhookID), visible(r.ID))
	if r.Slow {
		line += " slow"
	}
	if r.NextRetryAt != nil {
		line += " again " + e.moment(r.NextRetryAt)
	}
	if r.Error != "" && r.ResponseCode == nil {
		line += " " + paint.dim + cut(visible(r.Error), 120) + paint.off
	}
	return line
}
