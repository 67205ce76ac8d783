package kafkatest

import "testing"

func TestStartMakesEveryTopic(t *testing.T) {
	c := Start(t)
	if len(c.Brokers) == 0 {
		t.Fatal("no broker address")
	}
}
