package main

import (
	"bytes"
	"strings"
	"testing"
)

const (
	cvSource  = "cv=smartcv,secret-env=A,path=/webhooks/smartcv"
	kycSource = "kyc=smartkyc,secret-env=A,secret-env=B,allow=10.0.0.0/8,https=required"
)

// TestSourcesOfEveryKind: flags that repeat, one variable, texts and mappings in
// YAML all say the same, and what is shown reads back.
func TestSourcesOfEveryKind(t *testing.T) {
	want := cvSource + ";" + kycSource
	yaml := "source:\n  - " + cvSource + "\n  - {name: kyc, profile: smartkyc, secret_env: [A, B], allow: 10.0.0.0/8, https: required}\n"
	for name, l := range map[string]*Loaded{
		"flags":             load(t, cmdServe, []string{"--source", cvSource, "--source=" + kycSource}),
		"variable":          load(t, cmdServe, nil, "HOOKSTREAM_SOURCE="+cvSource+" ; "+kycSource),
		"file":              load(t, cmdServe, []string{"--config", yamlFile(t, yaml)}),
		"flags over a file": load(t, cmdDev, []string{"--source", cvSource, "--config", yamlFile(t, "source: [other=stripe,secret-env=A]\n"), "--source", kycSource}),
	} {
		if got := strings.Join(sourceTexts(l.Config.Inbound), ";"); got != want {
			t.Errorf("%s: %s", name, got)
		}
		var shown bytes.Buffer
		if err := l.Show(&shown); err != nil {
			t.Fatal(err)
		}
		again := load(t, l.Command, []string{"--config", yamlFile(t, strings.ReplaceAll(shown.String(), mask, "x"))})
		if got := strings.Join(sourceTexts(again.Config.Inbound), ";"); got != want {
			t.Errorf("%s, shown and read again: %s", name, got)
		}
	}
}

func TestSourceFaults(t *testing.T) {
	for text, want := range map[string]string{
		"source: [{name: a, profile: b, secret: hunter2}]":          "the options are",
		"source: [{name: a, profile: b, secret_env: 'A,tenant=x'}]": "no plain value",
		"source: [{name: a, profile: b, allow: {x: y}}]":            "no plain value",
		"source: [[a]]":                         "neither text nor mapping",
		"source: [{profile: b, secret_env: A}]": "begin with NAME=PROFILE",
		"source: [a]":                           "begin with NAME=PROFILE",
	} {
		if _, err := Load(cmdServe, []string{"--config", yamlFile(t, text)}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	for args, want := range map[string]string{
		"--source " + cvSource + " --source b=smartkyc,secret-env=A,path=/webhooks/smartcv": "--source: sources cv and b both receive at /webhooks/smartcv",
		"--source a=smartcv":                                      "--source: source a has no secret",
		"--source a=smartcv,secret-env=A,path=/v1/x":              "--source: source a has the path",
		"--source a=smartcv,secret-env=A,topic=hookstream.events": "--source: a has the topic hookstream.events, which hookstream itself writes",
		"--trusted-proxies 10.0.0.0/99":                           "--trusted-proxies has",
	} {
		c := load(t, cmdDev, strings.Fields(args)).Config
		if err := c.Validate(cmdDev); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
	}
}

// TestSourcesInTheDocument: the example of docs/configuration.md is taken.
func TestSourcesInTheDocument(t *testing.T) {
	_, block, _ := strings.Cut(settingsTable(), "## Received webhooks")
	_, block, _ = strings.Cut(block, "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	c := load(t, cmdDev, []string{"--config", yamlFile(t, block)}).Config
	if len(c.Inbound) != 2 || len(c.Inbound[1].Paths) != 2 || c.Validate(cmdDev) != nil {
		t.Errorf("%+v, %v", c.Inbound, c.Validate(cmdDev))
	}
}
