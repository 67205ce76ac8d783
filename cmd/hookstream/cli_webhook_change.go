package main

// "webhooks create" and "webhooks update": flags, or JSON, to the API's fields.

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// webhookFields collects what flags say, under the API's names.
type webhookFields struct {
	js     bool
	secret secretSource
	values map[string]any
}

func (w *webhookFields) set(name string, v any) error {
	w.values[name] = v
	return nil
}

// flags of create; those that update refuses are left out there.
func (w *webhookFields) flags(create bool) func(*flag.FlagSet) {
	return func(fs *flag.FlagSet) {
		w.values = map[string]any{}
		texts := [][3]string{
			{"url", "url", "where deliveries are POSTed to: `URL`"},
			{"name", "name", "a `NAME` for people"}, {"description", "description", "a `TEXT` for people"},
			{"uid", "uid", "your own `ID` for it, unique within the tenant"},
			{"on-exhausted", "on_exhausted", "ordered only: skip or halt, `WHAT` happens when a delivery is given up"},
		}
		if create {
			texts = append(texts, [3]string{"tenant", "tenant", "root key only: whose it is; a new `TENANT` is made"},
				[3]string{"profile", "profile", "`PROFILE` of its deliveries on the wire (default: the tenant's)"})
			w.secret.flags(fs)
		}
		for _, t := range texts {
			fs.Func(t[0], t[2], func(s string) error { return w.set(t[1], s) })
		}
		fs.Func("events", "event types, exact, resume.* or *: `TYPE,…`", func(s string) error { return w.set("events", splitList(s)) })
		fs.Func("header", "a request header `'NAME: VALUE'`; may be repeated", func(s string) error { return w.pair("headers", s, ":") })
		fs.Func("metadata", "`KEY=VALUE` of your own; may be repeated", func(s string) error { return w.pair("metadata", s, "=") })
		fs.Func("retry", "waits between attempts, `DURATION,…`, or none, or default for the profile's", w.retry)
		fs.Func("timeout", "of one exchange: `DURATION`", func(s string) error {
			d, err := time.ParseDuration(s)
			if err != nil {
				return fmt.Errorf("give a duration such as 10s")
			}
			return w.set("timeout_ms", d.Milliseconds())
		})
		fs.Func("rate-limit", "at most `N` requests per second", w.number("rate_limit"))
		fs.Func("concurrency", "at most `N` requests in flight", w.number("concurrency"))
		fs.Func("max-body", "largest request body: `BYTES`", w.number("max_body"))
		for _, t := range [][3]string{{"active", "active", "false pauses it; true enables it again (--active=false)"},
			{"ordered", "ordered", "one delivery at a time, in order"}, {"skip-verification", "skip_verification", "no challenge before the first event"}} {
			fs.BoolFunc(t[0], t[2], func(s string) error {
				if s != "true" && s != "false" {
					return fmt.Errorf("use true or false")
				}
				return w.set(t[1], s == "true")
			})
		}
		fs.BoolVar(&w.js, "json", false, "the API's own JSON")
	}
}

// number passes a number on as it was written.
func (w *webhookFields) number(name string) func(string) error {
	return func(s string) error {
		var n float64
		if json.Unmarshal([]byte(s), &n) != nil {
			return fmt.Errorf("give a number")
		}
		return w.set(name, json.RawMessage(s))
	}
}

func (w *webhookFields) pair(name, s, sep string) error {
	key, value, ok := strings.Cut(s, sep)
	if !ok {
		return fmt.Errorf("give NAME%sVALUE", sep)
	}
	m, _ := w.values[name].(map[string]string)
	if m == nil {
		m = map[string]string{}
	}
	m[strings.TrimSpace(key)] = strings.TrimSpace(value)
	return w.set(name, m)
}

func (w *webhookFields) retry(s string) error {
	switch s {
	case "none":
		return w.set("retry", []float64{})
	case "default":
		return w.set("default_retry", true)
	}
	seconds := []float64{}
	for _, part := range splitList(s) {
		d, err := time.ParseDuration(part)
		if err != nil {
			return fmt.Errorf("give waits such as 5s,5m,2h, or none, or default")
		}
		seconds = append(seconds, d.Seconds())
	}
	return w.set("retry", seconds)
}

// webhookChangeVerb is create or update. Fields that have no flag come as JSON
// from a file; flags stand over them.
func webhookChangeVerb(create bool) verb {
	var w webhookFields
	v := verb{name: "update", args: "WEBHOOK [FILE|-]", min: 1, max: 2, short: "change what the flags name, or the JSON of a file", flags: w.flags(create)}
	if create {
		v = verb{name: "create", args: "[FILE|-]", max: 1, short: "make a webhook; its secret is shown once", flags: w.flags(create)}
	}
	v.run = func(ctx context.Context, e *errand) error {
		file, method, path := "", http.MethodPost, "/v1/webhooks"
		if !create {
			method, path = http.MethodPatch, webhookPath(e.args[0])
			e.args = e.args[1:]
		}
		if len(e.args) > 0 {
			file = e.args[0]
		}
		body, err := w.body(e, file)
		if err != nil {
			return err
		}
		return e.one(ctx, method, path, nil, body, w.js, e.withSecret)
	}
	return v
}

func (w *webhookFields) body(e *errand, file string) ([]byte, error) {
	all := map[string]json.RawMessage{}
	if file != "" {
		text, err := e.readFile(file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &all); err != nil {
			return nil, Usage("%s is no JSON object: %v", file, err)
		}
	}
	if w.secret.given() {
		secrets, err := w.secret.read(e, file == "-")
		if err != nil {
			return nil, err
		}
		if len(secrets) != 1 {
			return nil, Usage("give one secret")
		}
		w.values["secret"] = secrets[0]
	}
	for name, v := range w.values {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
		all[name] = b
	}
	if len(all) == 0 {
		return nil, Usage("there is nothing to send; give flags or a file")
	}
	return json.Marshal(all)
}
