package inbound

import (
	"context"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/schemas"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"interviews=aiinterview,secret-env=WEBHOOK_SECRET": "",
		" cv = smartcv , secret-env=A,B , path=/a,/b ":     "cv=smartcv,secret-env=A,secret-env=B,path=/a,path=/b",
		"cv=smartcv,secret-env=A,path=/webhooks/smartcv,tenant=acme,topic=webhooks,answers=text,allow=10.1.2.3/8,allow=::1,192.0.2.7,rate=2.5,https=required": "cv=smartcv,secret-env=A,path=/webhooks/smartcv,tenant=acme,topic=webhooks,answers=text,allow=10.0.0.0/8,allow=::1/128,allow=192.0.2.7/32,rate=2.5,https=required",
	} {
		s, err := ParseSource(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want == "" {
			want = text
		}
		if s.String() != want {
			t.Errorf("%s became %s", text, s)
		}
		if again, err := ParseSource(s.String()); err != nil || again.String() != want {
			t.Errorf("%s does not read back: %v", s, err)
		}
	}
	for text, want := range map[string]string{
		"":                          "begin with NAME=PROFILE",
		"smartcv":                   "begin with NAME=PROFILE",
		"a=smartcv,secret=hunter2":  "the options are",
		"a=smartcv,smartkyc":        "write it as key=value",
		"a=smartcv,path=":           "write it as key=value",
		"a=smartcv,allow=10.0.0/8":  "give a network such as",
		"a=smartcv,rate=0":          "requests per second",
		"a=smartcv,rate=NaN":        "requests per second",
		"a=smartcv,https=sometimes": "https=required",
	} {
		if _, err := ParseSource(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want an error with %q", text, err, want)
		}
	}
}

func TestCheckSources(t *testing.T) {
	for text, want := range map[string]string{
		"a=smartcv,secret-env=S,path=/x b=smartcv,secret-env=S,path=/y":                                         "",
		"a=aiinterview,secret-env=S,path=/webhooks/ai-interview,path=/api/webhooks/ai-interview,path=/webhooks": "",
		"a=smartcv,secret-env=S,path=/x b=smartkyc,secret-env=S,path=/x":                                        "sources a and b both receive at /x",
		"a=smartcv,secret-env=S a=smartkyc,secret-env=S":                                                        "source a is there twice",
		"a=smartcv":                                           "source a has no secret",
		"A/b=smartcv,secret-env=S":                            "give a name of",
		"a=smartcv,secret-env=S,path=webhooks":                "give an absolute one",
		"a=smartcv,secret-env=S,path=/":                       "give an absolute one",
		"a=smartcv,secret-env=S,path=/x/":                     "give an absolute one",
		"a=smartcv,secret-env=S,path=/x/../v1":                "give an absolute one",
		"a=smartcv,secret-env=S,path=/{x}":                    "visible ASCII",
		"a=smartcv,secret-env=S,path=/v1/events":              "hookstream itself serves /v1",
		"a=smartcv,secret-env=S,path=/v1":                     "hookstream itself serves /v1",
		"a=smartcv,secret-env=S,path=/api/webhooks":           "hookstream itself serves /api",
		"a=smartcv,secret-env=S,path=/api/webhooks/webhook_1": "hookstream itself serves /api",
		"a=smartcv,secret-env=S,path=/api/webhooks/x/test":    "hookstream itself serves /api",
		"a=smartcv,secret-env=S,path=/in/b":                   "hookstream itself serves /in",
		"a=smartcv,secret-env=S,path=/healthz":                "hookstream itself serves /healthz",
		"a=smartcv,secret-env=S,path=/readyz":                 "hookstream itself serves /readyz",
		"a=smartcv,secret-env=S,path=/metrics":                "hookstream itself serves /metrics",
		"a=smartcv,secret-env=S,path=/openapi.json":           "hookstream itself serves /openapi.json",
		"a=smartcv,secret-env=S,topic=no/slash":               "has the topic",
		"a=smartcv,secret-env=S,tenant=no" + "\u00e9":         "tenant",
	} {
		var list []Source
		for one := range strings.SplitSeq(text, " ") {
			list = append(list, mustSource(t, one))
		}
		err := CheckSources(list)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

// TestReceiverNeedsItsSecret: without a secret, or with one that its profile
// cannot take, nothing starts; the error is one line and repeats no secret.
func TestReceiverNeedsItsSecret(t *testing.T) {
	start := func(text string, env map[string]string) error {
		c := DefaultReceiverConfig()
		c.Profiles, c.Sources = builtin(t), []Source{mustSource(t, text)}
		c.Append = func(context.Context, schemas.Record, func(int64, error)) {}
		c.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
		_, err := NewReceiver(c)
		return err
	}
	for text, want := range map[string]string{
		"a=aiinterview,secret-env=WEBHOOK_SECRET":           "",
		"a=aiinterview,secret-env=WEBHOOK_SECRET,MORE":      "source a: environment variable MORE is missing or empty",
		"a=kidsmart,secret-env=MISSING":                     "source a: environment variable MISSING is missing or empty",
		"a=kidsmart,secret-env=EMPTY":                       "source a: environment variable EMPTY is missing or empty",
		"a=kidsmart,secret-env=COMMAS":                      "source a: environment variable COMMAS is missing or empty",
		"a=standard,secret-env=WEBHOOK_SECRET":              "the secret in environment variable WEBHOOK_SECRET cannot be used",
		"a=acme,secret-env=WEBHOOK_SECRET":                  `the profile "acme", which is unknown`,
		"a=kidsmart,secret-env=WEBHOOK_SECRET,answers=text": "profile kidsmart answers in json",
	} {
		err := start(text, map[string]string{"WEBHOOK_SECRET": "hunter2", "EMPTY": "", "COMMAS": " , "})
		switch {
		case want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v; want %q", text, err, want)
		case err != nil && (strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: the error is more than a line, or tells the secret: %v", text, err)
		}
	}
}
