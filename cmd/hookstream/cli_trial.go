package main

// The command "test": a sample event for one webhook, and what came of it.

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// trial is one test delivery and its first attempt.
type trial struct {
	DeliveryID string `json:"delivery_id"`
	EventID    string `json:"event_id"`
	EventType  string `json:"event_type"`
	row        deliveryRow
	raw        []byte // of the attempt
}

// errSeen ends a stream that has brought what was waited for.
var errSeen = errors.New("seen")

func trialVerb() verb {
	var js bool
	var wait time.Duration
	flags := flagsOf(asJSON(&js), func(fs *flag.FlagSet) {
		fs.DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the attempt: `DURATION`; 0: not at all")
	})
	return verb{args: "WEBHOOK [TYPE]", min: 1, max: 2, short: "send a webhook a sample event and wait for what comes of it", flags: flags, run: func(ctx context.Context, e *errand) error {
		if wait < 0 {
			return Usage("--wait is %v; give 0 or more", wait)
		}
		request := map[string]string{}
		if len(e.args) == 2 {
			request["event_type"] = e.args[1]
		}
		t, err := e.try(ctx, e.args[0], request, wait)
		if err != nil {
			return err
		}
		return e.printTrial(t, wait, js)
	}}
}

// try listens first and sends then, so that the attempt cannot be missed.
func (e *errand) try(ctx context.Context, webhook string, request map[string]string, wait time.Duration) (*trial, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	client, t := e.client(), &trial{}
	send := func() error {
		b, err := client.do(ctx, http.MethodPost, webhookPath(webhook, "test"), nil, body)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, t); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		return nil
	}
	if wait == 0 {
		return t, send()
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	late := time.AfterFunc(answerWait, stop)
	defer late.Stop()
	err = client.stream(listening, "/v1/tail", url.Values{"webhook_id": {webhook}}, func(event string, data []byte) error {
		switch event {
		case "listening":
			if err := send(); err != nil {
				return err
			}
			late.Reset(wait)
		case "attempt":
			if err := json.Unmarshal(data, &t.row); err != nil {
				return fmt.Errorf("reading an attempt: %w", err)
			}
			if t.DeliveryID != "" && t.row.ID == t.DeliveryID {
				t.raw = append([]byte(nil), data...)
				return errSeen
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errSeen):
		return t, nil
	case ctx.Err() != nil:
		return nil, context.Canceled
	case t.DeliveryID != "" && (listening.Err() != nil || errors.Is(err, errStreamEnded)):
		return t, fmt.Errorf("no attempt was seen within %v; it may wait for its turn, see: hookstream deliveries get %s", wait, t.DeliveryID)
	}
	return nil, err
}

func (e *errand) printTrial(t *trial, wait time.Duration, js bool) error {
	if js {
		b := t.raw
		if b == nil {
			var err error
			if b, err = json.Marshal(t); err != nil {
				return fmt.Errorf("writing the answer: %w", err)
			}
		}
		if err := printJSON(e.out, b); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.out, "delivery  %s\nevent     %s (%s)\n", visible(t.DeliveryID), visible(t.EventID), visible(t.EventType))
		if wait > 0 {
			e.printOutcome(&t.row)
		}
	}
	if wait > 0 && t.row.Status != "success" {
		return fmt.Errorf("the webhook did not take it: %s", visible(t.row.reason()))
	}
	return nil
}

// reason is why an attempt was no success.
func (r *deliveryRow) reason() string {
	if r.Error != "" {
		return r.Error
	}
	return r.why()
}

func (e *errand) printOutcome(r *deliveryRow) {
	paint := e.colours()
	colour := paint.green
	if r.Status != "success" {
		colour = paint.red
	}
	fmt.Fprintf(e.out, "outcome   %s%s%s: %s in %d ms\n", colour, visible(r.Status), paint.off, visible(r.why()), r.DurationMS)
	if r.NextRetryAt != nil {
		fmt.Fprintf(e.out, "again     %s\n", e.moment(r.NextRetryAt))
	}
	if r.ResponseBody != "" {
		fmt.Fprintf(e.out, "answer    %s\n", cut(visible(r.ResponseBody), 400))
	}
}
