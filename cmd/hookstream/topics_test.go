package main

import (
	"strings"
	"testing"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

func TestTopics(t *testing.T) {
	cluster := kafkatest.Start(t)
	line := func(action string, more ...string) (int, string, string) {
		args := []string{"topics", action, "--brokers", strings.Join(cluster.Brokers, ","), "--slots=2", "--topic-prefix", cluster.Topology.Prefix + "cli."}
		return runLine(t, Bodies{}, append(args, more...)...)
	}
	if code, _, errs := line("check"); code != exitFailed || !strings.Contains(errs, "cli.events: the topic is missing") {
		t.Errorf("check of nothing: %d\n%s", code, errs)
	}
	code, out, errs := line("create")
	if code != exitOK || !strings.Contains(out, "cli.endpoints") || strings.Count(out, "created ") != strings.Count(out, "\n") {
		t.Fatalf("create: %d\n%s\n%s", code, out, errs)
	}
	if code, out, errs := line("create"); code != exitOK || strings.Contains(out, "created ") {
		t.Errorf("create again: %d\n%s\n%s", code, out, errs)
	}
	if code, out, errs := line("check"); code != exitOK || !strings.Contains(out, "are as they have to be") {
		t.Errorf("check: %d\n%s\n%s", code, out, errs)
	}
	if code, _, errs := line("check", "--slots=3"); code != exitFailed || !strings.Contains(errs, "partition count is 2, wanted 3") {
		t.Errorf("check of other slots: %d\n%s", code, errs)
	}
}
