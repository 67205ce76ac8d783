package main

// The alerts that come with the compose file: they can be loaded, and what
// somebody wants to be told about has one.

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func TestAlertsOnFailingWebhooks(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(repoFile(t, "deploy/prometheus/alerts.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	code := goSources(t, ".")
	exprs := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if exprs[r.Alert] != "" || r.Expr == "" {
				t.Errorf("%s is there twice, or without an expression", r.Alert)
			}
			exprs[r.Alert] = r.Expr
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
				t.Errorf("%s: labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
			}
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("%s: for %s: %v", r.Alert, r.For, err)
			}
			for _, pair := range []string{"()", "[]", "{}"} {
				if strings.Count(r.Expr, pair[:1]) != strings.Count(r.Expr, pair[1:]) {
					t.Errorf("%s: brackets of %s", r.Alert, r.Expr)
				}
			}
			// A label value that nothing sets would never fire.
			for _, m := range regexp.MustCompile(`(?:verdict|percent)=~?"([^"]+)"`).FindAllStringSubmatch(r.Expr, -1) {
				for value := range strings.SplitSeq(m[1], "|") {
					if !strings.Contains(code, `"`+value+`"`) {
						t.Errorf("%s: nothing is ever labelled %s", r.Alert, value)
					}
				}
			}
		}
	}
	for alert, metric := range map[string]string{
		"WebhooksFailing":   "hookstream_webhooks_by_success", // failures of each webhook
		"BreakersOpen":      "hookstream_breakers_open",
		"DeliveriesGivenUp": "hookstream_attempts_total",
		"ReceiversSlow":     "hookstream_slow_deliveries_total",
	} {
		if !strings.Contains(exprs[alert], metric) {
			t.Errorf("%s is %q, without %s", alert, exprs[alert], metric)
		}
	}
}
