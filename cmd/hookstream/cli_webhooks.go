package main

// The command "webhooks".

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// webhookRow is a row of GET /v1/webhooks.
type webhookRow struct {
	ID      string   `json:"id"`
	Tenant  string   `json:"tenant"`
	Profile string   `json:"profile"`
	Status  string   `json:"status"`
	Events  []string `json:"events"`
	URL     string   `json:"url"`
}

// againCreated is created_at once more, by the name that a product gives it.
const againCreated = "created"

// asJSON is the flag of verbs that answer with one object.
func asJSON(to *bool) func(*flag.FlagSet) {
	return func(fs *flag.FlagSet) { fs.BoolVar(to, "json", false, "the API's own JSON") }
}

func webhookPath(id string, more ...string) string {
	return strings.Join(append([]string{"/v1/webhooks/" + url.PathEscape(id)}, more...), "/")
}

func webhookVerbs() []verb {
	return []verb{webhooksListVerb(),
		webhookVerb("get", "one webhook", http.MethodGet, ""),
		webhookChangeVerb(true), webhookChangeVerb(false),
		webhookDeleteVerb(),
		webhookVerb("verify", "send its challenge again", http.MethodPost, "verify"),
		webhookRotateVerb(),
		named("test", trialVerb()),
	}
}

// named is a command's verb under another command.
func named(name string, v verb) verb {
	v.name = name
	return v
}

func webhooksListVerb() verb {
	var l listing
	flags := flagsOf(l.common, l.param("uid", "uid", "the one with this `UID` of your own"))
	return verb{name: "list", short: "webhooks, newest first", flags: flags, run: func(ctx context.Context, e *errand) error {
		columns := []column{{title: "WEBHOOK"}, {title: "STATUS"}, {title: "PROFILE"}, {title: "EVENTS", least: 8}, {title: "URL", least: 20}}
		if l.tenant == "*" {
			columns = append(columns[:1:1], append([]column{{title: "TENANT"}}, columns[1:]...)...)
		}
		return show(ctx, e, &l, "/v1/webhooks", columns, func(r *webhookRow) []string {
			cells := []string{r.ID, r.Status, r.Profile, strings.Join(r.Events, ","), r.URL}
			if l.tenant == "*" {
				cells = append([]string{r.ID, r.Tenant}, cells[1:]...)
			}
			return cells
		})
	}}
}

// webhookVerb asks one route of a webhook and shows the answer.
func webhookVerb(name, short, method, route string) verb {
	var js bool
	return verb{name: name, args: "WEBHOOK", min: 1, max: 1, short: short, flags: asJSON(&js), run: func(ctx context.Context, e *errand) error {
		path := webhookPath(e.args[0])
		if route != "" {
			path = webhookPath(e.args[0], route)
		}
		return e.one(ctx, method, path, nil, nil, js, func(b []byte) error { return printFields(e.out, b, againCreated) })
	}}
}

func webhookDeleteVerb() verb {
	return verb{name: "delete", args: "WEBHOOK…", min: 1, max: -1, short: "delete webhooks; what waits for them is skipped when its time comes", run: func(ctx context.Context, e *errand) error {
		for _, id := range e.args {
			if _, err := e.client().do(ctx, http.MethodDelete, webhookPath(id), nil, nil); err != nil {
				return fmt.Errorf("deleting %s: %w", id, err)
			}
			if _, err := fmt.Fprintf(e.out, "deleted %s\n", id); err != nil {
				return err
			}
		}
		return nil
	}}
}

func webhookRotateVerb() verb {
	var js bool
	var s secretSource
	flags := flagsOf(s.flags, asJSON(&js))
	return verb{name: "rotate-secret", args: "WEBHOOK", min: 1, max: 1, short: "a new secret, shown once; the old one signs beside it for a while", flags: flags, run: func(ctx context.Context, e *errand) error {
		body := map[string]any{}
		if s.given() {
			secrets, err := s.read(e, false)
			if err != nil {
				return err
			}
			body["secret"] = secrets[0]
		}
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
		return e.one(ctx, http.MethodPost, webhookPath(e.args[0], "rotate-secret"), nil, b, js, func(b []byte) error {
			return e.withSecret(b)
		})
	}}
}

// withSecret shows a webhook whose secret was just made.
func (e *errand) withSecret(b []byte) error {
	if err := printFields(e.out, b, againCreated); err != nil {
		return err
	}
	var made struct{ Secret string }
	if json.Unmarshal(b, &made) == nil && made.Secret != "" {
		_, err := fmt.Fprintln(e.err, "the secret is shown this once: keep it where the receiver finds it")
		return err
	}
	return nil
}
