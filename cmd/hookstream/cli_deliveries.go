package main

// The commands "logs", "deliveries" and "dead".

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// deliveryRow is the one log row of the API.
type deliveryRow struct {
	ID           string     `json:"id"`
	EventID      string     `json:"event_id"`
	EventType    string     `json:"event_type"`
	WebhookID    string     `json:"webhook_id"`
	Status       string     `json:"status"`
	Attempts     int        `json:"attempts"`
	ResponseCode *int       `json:"response_code"`
	ErrorKind    string     `json:"error_kind"`
	Error        string     `json:"error"`
	ResponseBody string     `json:"response_body"`
	DurationMS   int64      `json:"duration_ms"`
	CreatedAt    *time.Time `json:"created_at"`
	NextRetryAt  *time.Time `json:"next_retry_at"`
	Slow         bool       `json:"slow"`
}

// why is what went wrong, in a word: the status code, or what came in its
// place.
func (r *deliveryRow) why() string {
	switch {
	case r.ResponseCode != nil:
		return fmt.Sprint(*r.ResponseCode)
	default:
		return r.ErrorKind
	}
}

// deliveryColumns fit the ids whole into 100 columns.
func deliveryColumns(webhook bool) []column {
	columns := []column{{title: "MADE"}, {title: "DELIVERY"}, {title: "TYPE", least: 8}, {title: "STATUS"}, {title: "TRIES", right: true}, {title: "ANSWER"}}
	if webhook {
		return []column{columns[0], columns[1], {title: "WEBHOOK"}, {title: "TYPE", least: 4}, columns[3], columns[5]}
	}
	return append(columns, column{title: "MS", right: true}, column{title: "NEXT"})
}

func (e *errand) deliveryCells(r *deliveryRow, webhook bool) []string {
	if webhook {
		return []string{e.moment(r.CreatedAt), r.ID, r.WebhookID, r.EventType, r.Status, r.why()}
	}
	return []string{e.moment(r.CreatedAt), r.ID, r.EventType, r.Status, fmt.Sprint(r.Attempts), r.why(), fmt.Sprint(r.DurationMS), e.moment(r.NextRetryAt)}
}

func (e *errand) deliveryTable(rows []deliveryRow, webhook bool) error {
	t := &table{columns: deliveryColumns(webhook)}
	for i := range rows {
		t.add(e.deliveryCells(&rows[i], webhook)...)
	}
	return t.write(e.out, e.screenWidth())
}

// logFilters are the API's, under shorter names.
func (l *listing) logFilters() func(*flag.FlagSet) {
	return flagsOf(l.common, l.times,
		l.param("type", "event_type", "of this event `TYPE`"),
		l.param("event", "event_id", "of this `EVENT`"),
		l.param("response-code", "response_code", "whose latest answer was this status `CODE`"),
		l.param("error", "error_kind", "whose latest attempt failed so: `KIND`, for example timeout"))
}

func (l *listing) statusFilter() func(*flag.FlagSet) {
	return l.param("status", "status", "only those with this `STATUS`: pending, success, error or skipped")
}

func logsVerb() verb {
	var l listing
	return verb{args: "WEBHOOK", min: 1, max: 1, short: "the deliveries of a webhook, newest first", flags: flagsOf(l.logFilters(), l.statusFilter()),
		run: func(ctx context.Context, e *errand) error {
			return show(ctx, e, &l, webhookPath(e.args[0], "logs"), deliveryColumns(false), func(r *deliveryRow) []string { return e.deliveryCells(r, false) })
		}}
}

// allListVerb lists deliveries of several webhooks.
func allListVerb(short, path string, status bool) verb {
	var l listing
	flags := flagsOf(l.logFilters(), l.param("webhook", "webhook_id", "of this `WEBHOOK`"))
	if status {
		flags = flagsOf(flags, l.statusFilter())
	}
	return verb{name: "list", short: short, flags: flags, run: func(ctx context.Context, e *errand) error {
		return show(ctx, e, &l, path, deliveryColumns(true), func(r *deliveryRow) []string { return e.deliveryCells(r, true) })
	}}
}

func deliveryVerbs() []verb {
	var js bool
	get := verb{name: "get", args: "DELIVERY", min: 1, max: 1, short: "one delivery with all of its attempts", flags: asJSON(&js), run: func(ctx context.Context, e *errand) error {
		return e.one(ctx, http.MethodGet, "/v1/deliveries/"+url.PathEscape(e.args[0]), nil, nil, js, e.printDelivery)
	}}
	return []verb{allListVerb("deliveries of every webhook, newest first", "/v1/deliveries", true), get, retryVerb()}
}

func deadVerbs() []verb {
	return []verb{allListVerb("deliveries that were given up, newest first", "/v1/dead", false), retryVerb()}
}

// retryVerb makes deliveries again, each a new one.
func retryVerb() verb {
	var js bool
	return verb{name: "retry", args: "DELIVERY…", min: 1, max: -1, short: "deliver again now, as new deliveries", flags: asJSON(&js), run: func(ctx context.Context, e *errand) error {
		for _, id := range e.args {
			b, err := e.client().do(ctx, http.MethodPost, "/v1/deliveries/"+url.PathEscape(id)+"/retry", nil, nil)
			if err != nil {
				return fmt.Errorf("retrying %s: %w", id, err)
			}
			var made struct {
				DeliveryID string `json:"delivery_id"`
			}
			switch {
			case js:
				err = printJSON(e.out, b)
			case json.Unmarshal(b, &made) == nil:
				_, err = fmt.Fprintf(e.out, "%s is delivered again as %s\n", id, made.DeliveryID)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

// printDelivery shows a delivery and the table of its attempts.
func (e *errand) printDelivery(b []byte) error {
	if err := printFields(e.out, b, "attempts_list"); err != nil {
		return err
	}
	var d struct {
		Attempts []struct {
			No           int        `json:"no"`
			At           *time.Time `json:"at"`
			Status       string     `json:"status"`
			ResponseCode *int       `json:"response_code"`
			ErrorKind    string     `json:"error_kind"`
			Error        string     `json:"error"`
			DurationMS   int64      `json:"duration_ms"`
			NextRetryAt  *time.Time `json:"next_retry_at"`
		} `json:"attempts_list"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("reading the delivery: %w", err)
	}
	if len(d.Attempts) == 0 {
		return nil
	}
	t := &table{columns: []column{{title: "NO", right: true}, {title: "AT"}, {title: "THEN"}, {title: "ANSWER"}, {title: "MS", right: true}, {title: "NEXT"}, {title: "ERROR", least: 12}}}
	for _, a := range d.Attempts {
		r := deliveryRow{ResponseCode: a.ResponseCode, ErrorKind: a.ErrorKind}
		t.add(fmt.Sprint(a.No), e.moment(a.At), a.Status, r.why(), fmt.Sprint(a.DurationMS), e.moment(a.NextRetryAt), a.Error)
	}
	if _, err := fmt.Fprintln(e.out); err != nil {
		return err
	}
	return t.write(e.out, e.screenWidth())
}
