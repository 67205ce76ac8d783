package main

// Lists of the API as tables or as lines of JSON, and the flags that they share.

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"time"
)

// listing is what a list is asked for.
type listing struct {
	json   bool
	limit  int
	tenant string
	since  string
	until  string
	query  map[string]*string // further parameters by name
}

func (l *listing) common(fs *flag.FlagSet) {
	fs.BoolVar(&l.json, "json", false, "the API's own JSON, one object a line")
	fs.IntVar(&l.limit, "limit", 50, "at most `N` rows")
	fs.StringVar(&l.tenant, "tenant", "", "root key only: of this `TENANT`")
}

func (l *listing) times(fs *flag.FlagSet) {
	fs.StringVar(&l.since, "since", "", "made at or after this `TIME`: 90m, 24h or 7d ago, a date, or RFC 3339")
	fs.StringVar(&l.until, "until", "", "made before this `TIME`")
}

// param is a flag that goes to the API as it is, under the API's name.
func (l *listing) param(flagName, name, usage string) func(*flag.FlagSet) {
	if l.query == nil {
		l.query = map[string]*string{}
	}
	value := new(string)
	l.query[name] = value
	return func(fs *flag.FlagSet) { fs.StringVar(value, flagName, "", usage) }
}

func (l *listing) values() (url.Values, error) {
	if l.limit < 1 {
		return nil, Usage("--limit is %d; give at least 1", l.limit)
	}
	v := url.Values{}
	now := time.Now()
	for name, text := range map[string]string{"since": l.since, "until": l.until} {
		t, err := pastTime(name, text, now)
		if err != nil {
			return nil, err
		}
		if t != "" {
			v.Set(name, t)
		}
	}
	if l.tenant != "" {
		v.Set("tenant", l.tenant)
	}
	for name, value := range l.query {
		if *value != "" {
			v.Set(name, *value)
		}
	}
	return v, nil
}

// show asks for the list and writes it; row makes a table's cells of one
// object.
func show[T any](ctx context.Context, e *errand, l *listing, path string, columns []column, row func(*T) []string) error {
	query, err := l.values()
	if err != nil {
		return err
	}
	t := &table{columns: columns}
	more, err := e.client().list(ctx, path, query, l.limit, func(raw json.RawMessage) error {
		if l.json {
			return printJSON(e.out, raw)
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("reading a row of %s: %w", path, err)
		}
		t.add(row(&v)...)
		return nil
	})
	if err != nil {
		return err
	}
	if !l.json {
		if len(t.rows) == 0 {
			_, err := fmt.Fprintln(e.err, "none")
			return err
		}
		if err := t.write(e.out, e.screenWidth()); err != nil {
			return err
		}
	}
	if more {
		_, err = fmt.Fprintf(e.err, "there are more; --limit shows more than %d\n", l.limit)
	}
	return err
}

// one asks for one object and writes it; text says how for people.
func (e *errand) one(ctx context.Context, method, path string, query url.Values, body []byte, asJSON bool, text func([]byte) error) error {
	b, err := e.client().do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.out, b)
	}
	return text(b)
}

// breakerRow is a row of GET /v1/breakers.
type breakerRow struct {
	WebhookID string     `json:"webhook_id"`
	State     string     `json:"state"`
	Since     *time.Time `json:"since"`
	OpenUntil *time.Time `json:"open_until"`
	Failures  int        `json:"failures"`
	Reason    string     `json:"reason"`
}

func breakersVerb() verb {
	var l listing
	return verb{short: "circuit breakers that are not closed: webhooks that are left alone for a while", flags: l.common,
		run: func(ctx context.Context, e *errand) error {
			columns := []column{{title: "WEBHOOK"}, {title: "STATE"}, {title: "SINCE"}, {title: "NEXT PROBE"}, {title: "FAILURES", right: true}, {title: "WHY", least: 10}}
			return show(ctx, e, &l, "/v1/breakers", columns, func(r *breakerRow) []string {
				return []string{r.WebhookID, r.State, e.moment(r.Since), e.moment(r.OpenUntil), fmt.Sprint(r.Failures), r.Reason}
			})
		}}
}

// eventTypeRow is a row of GET /v1/event-types.
type eventTypeRow struct {
	Type        string `json:"type"`
	Source      string `json:"source"`
	Profile     string `json:"profile"`
	Tenant      string `json:"tenant"`
	Description string `json:"description"`
}

func eventTypesVerb() verb {
	var l listing
	return verb{short: "the event types there are, with samples in --json", flags: flagsOf(l.common, l.param("profile", "profile", "of this `PROFILE`'s catalogue")),
		run: func(ctx context.Context, e *errand) error {
			columns := []column{{title: "TYPE"}, {title: "OF"}, {title: "WHAT", least: 12}}
			return show(ctx, e, &l, "/v1/event-types", columns, func(r *eventTypeRow) []string {
				of := r.Source
				if r.Profile != "" {
					of = r.Profile
				}
				if r.Tenant != "" {
					of = r.Tenant
				}
				return []string{r.Type, of, r.Description}
			})
		}}
}
