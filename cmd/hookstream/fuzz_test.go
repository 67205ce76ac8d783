package main

// Fuzzing of the configuration: files, and the text of every setting.

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfigFile: a configuration file is read or refused in words, with its
// name; nothing of it ends the process.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{"", "listen: 127.0.0.1:9000\n", "event_topics:\n- orders\n- {topic: x, format: raw, type: a.b}\n", "event_topics: [[]]", "listen: [a]", "a: &a [*a]", "\x00", "brokers: [a, b]\nroles: all\n", "sources: [{name: a, profile: b}]", "- a", "listen: x\nlisten: y", "---\n---\n", "api_rate: .nan"} {
		f.Add([]byte(s))
	}
	file := filepath.Join(f.TempDir(), "hookstream.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Load(cmdServe, []string{"--config", file}, nil)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" || strings.Contains(err.Error(), "main.") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		_ = l.Config.Validate(cmdServe)
	})
}

// FuzzSettingText: what a setting takes it shows as text that it takes again
// as the same.
func FuzzSettingText(f *testing.F) {
	var sample Config
	for i := range settings(&sample) {
		for _, s := range []string{"", "1", "2h30m", "a,b", "true", "1e300", "10 MiB", "-1", "sources=x,secret-env=Y", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "10.0.0.0/8, ::1", " \x00;,"} {
			f.Add(uint8(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		var c Config
		all := settings(&c)
		s := all[int(which)%len(all)]
		if err := s.value.Set(text); err != nil {
			return
		}
		shown := s.value.String()
		if err := s.value.Set(shown); err != nil {
			t.Fatalf("%s takes %q, shows %q, and refuses that: %v", s.Env(), text, shown, err)
		}
		if again := s.value.String(); again != shown {
			t.Fatalf("%s takes %q, shows %q, then %q", s.Env(), text, shown, again)
		}
	})
}
