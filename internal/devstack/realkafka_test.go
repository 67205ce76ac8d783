package devstack

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRealKafkaSurvivesKill runs where a real broker is asked for: it costs
// Java, Maven and some seconds.
func TestRealKafkaSurvivesKill(t *testing.T) {
	if os.Getenv("HOOKSTREAM_TEST_BROKERS") == "" {
		t.Skip("set HOOKSTREAM_TEST_BROKERS (make test-kafka) to run tests with a real Kafka")
	}
	k, err := StartRealKafka(t.Context(), RealKafkaConfig{Dir: t.TempDir(), Heap: "512m"})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("before")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	k.Kill()
	if k, err = StartRealKafka(ctx, k.Config()); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("after")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got := map[string]bool{}
	for !got["before"] || !got["after"] {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %v", got)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)] = true })
	}
	stopping, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	if err := k.Stop(stopping); err != nil {
		t.Fatal(err)
	}
}

func TestRealKafkaNamesWhatIsMissing(t *testing.T) {
	real, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	bin := t.TempDir()
	if err := os.Symlink(real, filepath.Join(bin, "sh")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	start := func() string {
		_, err := StartRealKafka(t.Context(), RealKafkaConfig{Dir: t.TempDir()})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Fatal(err)
		}
		return err.Error()
	}
	java := func(version string) {
		script := "#!" + real + "\necho 'openjdk version \"" + version + "\"' >&2\n"
		if err := os.WriteFile(filepath.Join(bin, "java"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := start(); !strings.Contains(got, "no java on the PATH") {
		t.Error(got)
	}
	java("11.0.2")
	if got := start(); !strings.Contains(got, "is version 11") {
		t.Error(got)
	}
	java("17.0.15")
	if got := start(); !strings.Contains(got, "no mvn on the PATH") {
		t.Error(got)
	}
}
