package devstack

// What a real broker needs before it starts: Java, the jars, a formatted folder, its properties.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaVersion is the broker that the tests run against.
const kafkaVersion = "4.1.0"

// kafkaPOM names the broker and a logger for it, each by version.
const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>hookstream</groupId><artifactId>test-kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
  </plugin></plugins></build>
</project>
`

// kafkaLog4j keeps the broker's log to what went wrong.
const kafkaLog4j = `rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=stdout
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d %p %c{1}: %m%n
`

// brokerAnswer bounds one try to reach a broker that may still be starting.
const brokerAnswer = 2 * time.Second

var javaVersion = regexp.MustCompile(`version "(\d+)`)

func findJava(ctx context.Context) (string, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("a real Kafka needs Java 17 or newer, and there is no java on the PATH; install one (Debian: apt-get install openjdk-17-jre-headless)")
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking java for its version: %w", err)
	}
	if m := javaVersion.FindSubmatch(out); m != nil {
		if n, _ := strconv.Atoi(string(m[1])); n < 17 {
			return "", fmt.Errorf("a real Kafka needs Java 17 or newer, and java on the PATH is version %d; install a newer one", n)
		}
	}
	return java, nil
}

// kafkaJars returns the folder whose lib/ holds the broker, fetched by Maven
// into the user's cache at the first call (about 45 MB).
func kafkaJars(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, "kafka-"+kafkaVersion,
		func(dir string) bool {
			_, err := os.Stat(filepath.Join(dir, "lib", "kafka_2.13-"+kafkaVersion+".jar"))
			return err == nil
		},
		func(ctx context.Context, tmp string) error {
			mvn, err := exec.LookPath("mvn")
			if err != nil {
				return errors.New("a real Kafka needs Maven to fetch its jars, and there is no mvn on the PATH; install it (Debian: apt-get install maven)")
			}
			pom := filepath.Join(tmp, "pom.xml")
			if err := os.WriteFile(pom, []byte(kafkaPOM), 0o644); err != nil {
				return fmt.Errorf("writing pom.xml: %w", err)
			}
			fmt.Fprintf(progress, "fetching Kafka %s with Maven (45 MB, once)\n", kafkaVersion)
			// -C: a jar whose checksum is wrong is an error, not a warning.
			cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-C", "-f", pom,
				"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(tmp, "lib"))
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("fetching Kafka %s with Maven: %w: %s", kafkaVersion, err, firstError(out))
			}
			return nil
		})
}

// firstError is the first line in which Maven or Java says what was wrong.
func firstError(out []byte) string {
	first := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "ERROR") || strings.Contains(line, "Exception") {
			return line
		}
		if first == "" {
			first = line
		}
	}
	return first
}

// writeKafkaProperties writes the settings of a single loopback node.
func writeKafkaProperties(cfg RealKafkaConfig) (string, error) {
	dir := cfg.Dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making kafka's data folder: %w", err)
	}
	controller, err := FreePort()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	var listeners, advertised, protocols strings.Builder
	for i, l := range cfg.Listeners {
		fmt.Fprintf(&listeners, ",WAY%d://127.0.0.1:%d", i, l.Port)
		fmt.Fprintf(&advertised, ",WAY%d://127.0.0.1:%d", i, l.Advertised)
		fmt.Fprintf(&protocols, ",WAY%d:PLAINTEXT", i)
	}
	for _, line := range []string{
		"process.roles=broker,controller",
		"node.id=1",
		fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", cfg.Port, controller) + listeners.String(),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d", cfg.Port) + advertised.String(),
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT" + protocols.String(),
		"inter.broker.listener.name=PLAINTEXT",
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", controller),
		"log.dirs=" + filepath.ToSlash(filepath.Join(dir, "log")),
		"num.partitions=4",
		"num.network.threads=2",
		"num.io.threads=4",
		"default.replication.factor=1",
		"min.insync.replicas=1",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=8",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=4",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"share.coordinator.state.topic.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",
	} {
		b.WriteString(line + "\n")
	}
	path := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return "", fmt.Errorf("writing kafka's properties: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log4j2.properties"), []byte(kafkaLog4j), 0o644); err != nil {
		return "", fmt.Errorf("writing kafka's log settings: %w", err)
	}
	return path, nil
}

// formatKafka gives a new folder its cluster id; a folder that has one is left alone.
func formatKafka(ctx context.Context, java, classes, dir, properties string) error {
	if _, err := os.Stat(filepath.Join(dir, "log", "meta.properties")); err == nil {
		return nil
	}
	tool := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, java, append([]string{"-Xmx256m",
			"-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.properties"), "-cp", classes, "kafka.tools.StorageTool"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("kafka's storage tool (%s): %w: %s", args[0], err, firstError(append(stderr.Bytes(), out...)))
		}
		return strings.TrimSpace(string(out)), nil
	}
	id, err := tool("random-uuid")
	if err != nil {
		return err
	}
	_, err = tool("format", "-t", id, "-c", properties)
	return err
}

// kafkaAnswers asks for the cluster's metadata: an answer that lists a broker
// means that clients can work.
func kafkaAnswers(addr string) bool {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryTimeout(0), kgo.RequestRetries(0))
	if err != nil {
		return false
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), brokerAnswer)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	resp, err := req.RequestWith(ctx, cl)
	return err == nil && len(resp.Brokers) > 0
}
