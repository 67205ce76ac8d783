package inbound_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// A program that handles webhooks: register what to do for each type, then run
// until the context ends.
func ExampleHandlers() {
	// A broker of the example's own with one webhook on it; in a program, the
	// address of yours, and hookstream receives.
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "hookstream.inbound", "hookstream.inbound.parked"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	opts, err := producer.Options(producer.Connection{Brokers: broker.ListenAddrs(), ClientID: "interviews"})
	if err != nil {
		fmt.Println(err)
		return
	}
	receive(broker.ListenAddrs(), schemas.Inbound{ID: "in_1", Source: "interviews", Key: "interview.completed:ses_51b", Type: "interview.completed",
		Body: []byte(`{"event":"interview.completed","session_id":"ses_51b"}`)})

	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	cfg := inbound.DefaultHandlersConfig()
	cfg.Options, cfg.Group = opts, "interviews"
	handlers, err := inbound.NewHandlers(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	handlers.On("interview.completed", func(_ context.Context, in *schemas.Inbound) error {
		fmt.Printf("%s: %s\n", in.Key, in.Body)
		stop() // a program goes on
		return nil
	})
	// The session's feedback is written 100 rows at a time, or after a second.
	handlers.OnBatch("session.feedback_submitted", 100, time.Second, func(_ context.Context, ins []*schemas.Inbound) error {
		fmt.Println(len(ins), "rows")
		return nil
	})
	if err := handlers.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// interview.completed:ses_51b: {"event":"interview.completed","session_id":"ses_51b"}
}

// What could not be handled is listed and, once its cause is mended, handled
// again.
func ExampleRequeue() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "hookstream.inbound", "hookstream.inbound.parked"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	opts, err := producer.Options(producer.Connection{Brokers: broker.ListenAddrs()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	where := inbound.ParkedConfig{Options: opts}
	parked, err := inbound.ListParked(ctx, where)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range parked {
		fmt.Println(p.ID, p.Type, p.Error, p.Retries)
	}
	n, err := inbound.Requeue(ctx, where, parked...)
	fmt.Println(n, err)
	// Output: 0 <nil>
}

// receive writes a webhook as hookstream's receivers and deduper do.
func receive(brokers []string, in schemas.Inbound) {
	opts, err := producer.Options(producer.Connection{Brokers: brokers})
	if err != nil {
		panic(err)
	}
	w, err := producer.NewWriter(opts)
	if err != nil {
		panic(err)
	}
	defer w.Close(context.Background())
	if err := w.AppendAll(context.Background(), in.Record(schemas.DevTopology(), schemas.DefaultTopology().InboundTopic())); err != nil {
		panic(err)
	}
}
