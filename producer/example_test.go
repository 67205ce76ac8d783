package producer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// A program that publishes events: open once, publish with a deadline, close.
func ExamplePublisher() {
	// A broker of the example's own; in a program, the address of yours.
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "hookstream.events"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()

	opts, err := producer.Options(producer.Connection{Brokers: broker.ListenAddrs(), ClientID: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := producer.NewPublisher(producer.PublisherConfig{Options: opts})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	defer publisher.Close(ctx)

	receipt, err := publisher.Publish(ctx, schemas.Event{
		ID:   "invoice-1001-paid", // publishing it again is safe
		Type: "invoice.paid",
		Data: []byte(`{"invoice":1001,"amount":"12.50"}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(receipt.ID, "is in", receipt.Topic)

	_, err = publisher.Publish(ctx, schemas.Event{Data: []byte(`{}`)})
	fmt.Println(err)
	// Output:
	// invoice-1001-paid is in hookstream.events
	// type: is missing; give the event's type, for example invoice.paid
}
