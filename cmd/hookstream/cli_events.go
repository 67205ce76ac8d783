package main

// The command "events".

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// eventRow is a row of GET /v1/events.
type eventRow struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"`
	Tenant     string     `json:"tenant"`
	Kind       string     `json:"kind"`
	CreatedAt  *time.Time `json:"created_at"`
	Deliveries int        `json:"deliveries"`
	Skipped    int        `json:"skipped"`
}

func eventVerbs() []verb {
	return []verb{eventsListVerb(), eventGetVerb(), eventPublishVerb()}
}

func eventsListVerb() verb {
	var l listing
	flags := flagsOf(l.common, l.times, l.param("type", "event_type", "of this `TYPE`"))
	return verb{name: "list", short: "events, newest first, and how many deliveries each made", flags: flags, run: func(ctx context.Context, e *errand) error {
		columns := []column{{title: "MADE"}, {title: "EVENT"}, {title: "TYPE", least: 10}, {title: "TENANT", least: 8}, {title: "KIND"},
			{title: "DELIVERIES", right: true}, {title: "SKIPPED", right: true}}
		return show(ctx, e, &l, "/v1/events", columns, func(r *eventRow) []string {
			return []string{e.moment(r.CreatedAt), r.ID, r.Type, r.Tenant, r.Kind, fmt.Sprint(r.Deliveries), fmt.Sprint(r.Skipped)}
		})
	}}
}

func eventGetVerb() verb {
	var js bool
	var tenant string
	flags := flagsOf(asJSON(&js), func(fs *flag.FlagSet) {
		fs.StringVar(&tenant, "tenant", "", "root key only: whose event it is (default: the tenant default)")
	})
	return verb{name: "get", args: "EVENT", min: 1, max: 1, short: "one event with its data and its deliveries", flags: flags, run: func(ctx context.Context, e *errand) error {
		query := url.Values{}
		if tenant != "" {
			query.Set("tenant", tenant)
		}
		return e.one(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(e.args[0]), query, nil, js, e.printEvent)
	}}
}

// printEvent shows an event, its data, and what became of it.
func (e *errand) printEvent(b []byte) error {
	if err := printFields(e.out, b, "data", "deliveries_list", "skipped_list"); err != nil {
		return err
	}
	var d struct {
		Data       json.RawMessage `json:"data"`
		Deliveries []deliveryRow   `json:"deliveries_list"`
		Skipped    []struct {
			WebhookID string `json:"webhook_id"`
			Reason    string `json:"reason"`
		} `json:"skipped_list"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	var data bytes.Buffer
	if json.Indent(&data, d.Data, "  ", "  ") != nil {
		data.Reset()
		data.Write(d.Data)
	}
	if _, err := fmt.Fprintf(e.out, "\n  %s\n", visibleLines(data.String())); err != nil {
		return err
	}
	if len(d.Deliveries) > 0 {
		if _, err := fmt.Fprintln(e.out); err != nil {
			return err
		}
		if err := e.deliveryTable(d.Deliveries, true); err != nil {
			return err
		}
	}
	if len(d.Skipped) > 0 {
		t := &table{columns: []column{{title: "SKIPPED WEBHOOK"}, {title: "WHY"}}}
		for _, s := range d.Skipped {
			t.add(s.WebhookID, s.Reason)
		}
		if _, err := fmt.Fprintln(e.out); err != nil {
			return err
		}
		return t.write(e.out, e.screenWidth())
	}
	return nil
}

// visibleLines is visible for text of several lines.
func visibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = visible(l)
	}
	return strings.Join(lines, "\n")
}

// readFile is a named file, or standard input for "-".
func (e *errand) readFile(name string) ([]byte, error) {
	if name == "-" {
		b, err := io.ReadAll(e.in)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return b, nil
	}
	return os.ReadFile(name)
}

// eventDraft is what the flags of publish say.
type eventDraft struct {
	js                                       bool
	eventType, data, id, tenant, key, moment string
}

func (d *eventDraft) flags(fs *flag.FlagSet) {
	fs.StringVar(&d.eventType, "type", "", "its `TYPE`, for example invoice.paid")
	fs.StringVar(&d.data, "data", "", "its data: `JSON`, or @FILE, or @- for standard input; sent verbatim")
	fs.StringVar(&d.id, "id", "", "its `ID`; the same one again is not published twice")
	fs.StringVar(&d.tenant, "tenant", "", "root key only: for this `TENANT`")
	fs.StringVar(&d.key, "key", "", "what shares a `KEY` stays in order")
	fs.StringVar(&d.moment, "time", "", "when it happened, RFC 3339: `TIME` (default: now)")
	fs.BoolVar(&d.js, "json", false, "the API's own JSON")
}

func eventPublishVerb() verb {
	var d eventDraft
	return verb{name: "publish", args: "[FILE|-]", max: 1, short: "one event by flags, or one a line from a file", flags: d.flags, run: func(ctx context.Context, e *errand) error {
		if len(e.args) == 1 {
			if d.eventType != "" || d.data != "" {
				return Usage("give --type and --data, or a file with an event a line, not both")
			}
			lines, err := e.readFile(e.args[0])
			if err != nil {
				return err
			}
			return e.publishLines(ctx, lines, d.js)
		}
		body, err := d.body(e)
		if err != nil {
			return err
		}
		return e.one(ctx, http.MethodPost, "/v1/events", nil, body, d.js, func(b []byte) error { return printFields(e.out, b) })
	}}
}

// body splices the data in as it is: encoders would rewrite it.
func (d *eventDraft) body(e *errand) ([]byte, error) {
	if d.eventType == "" || d.data == "" {
		return nil, Usage("give --type and --data, or a file with an event a line, or - for standard input")
	}
	data := []byte(d.data)
	if file, ok := strings.CutPrefix(d.data, "@"); ok {
		var err error
		if data, err = e.readFile(file); err != nil {
			return nil, err
		}
	}
	if !json.Valid(data) {
		return nil, Usage("--data is no JSON; give JSON, or @FILE")
	}
	meta := map[string]string{"type": d.eventType}
	for name, value := range map[string]string{"id": d.id, "tenant": d.tenant, "key": d.key, "time": d.moment} {
		if value != "" {
			meta[name] = value
		}
	}
	head, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	body := append(bytes.TrimSuffix(head, []byte("}")), `,"data":`...)
	return append(append(body, data...), '}'), nil
}

// publishLines sends a batch; the lines that were refused are said one by one.
func (e *errand) publishLines(ctx context.Context, lines []byte, js bool) error {
	b, err := e.client().do(ctx, http.MethodPost, "/v1/events/batch", nil, lines)
	if err != nil {
		return err
	}
	var answer struct {
		Accepted int    `json:"accepted"`
		Rejected int    `json:"rejected"`
		Detail   string `json:"detail"`
		Results  []struct {
			Line  int         `json:"line"`
			Error *apiProblem `json:"error"`
		} `json:"results"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if js {
		err = printJSON(e.out, b)
	} else {
		for _, r := range answer.Results {
			if r.Error != nil {
				fmt.Fprintf(e.err, "line %d: %v\n", r.Line, r.Error)
			}
		}
		_, err = fmt.Fprintf(e.out, "published %d of %d events\n", answer.Accepted, answer.Accepted+answer.Rejected)
	}
	switch {
	case err != nil:
		return err
	case answer.Detail != "":
		return fmt.Errorf("the batch was not read to its end: %s", answer.Detail)
	case answer.Rejected > 0:
		return fmt.Errorf("%d lines were not published", answer.Rejected)
	}
	return nil
}
