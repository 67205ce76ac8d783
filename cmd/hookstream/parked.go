package main

// The command "parked": received webhooks that no handler could handle, for
// review, and back to their handlers.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/producer"
)

// parkedPatience bounds the command: reading a long topic takes a while.
const parkedPatience = 5 * time.Minute

func runParked(ctx context.Context, inv Invocation) error {
	verb, ids := "list", inv.Args
	if len(ids) > 0 {
		verb, ids = ids[0], ids[1:]
	}
	switch {
	case verb == "list" && len(ids) == 0:
	case verb == "show" && len(ids) == 1, verb == "retry" && len(ids) > 0:
	default:
		return Usage("hookstream parked takes nothing, or show ID, or retry ID… or retry all; see: hookstream help parked")
	}
	opts, err := producer.Options(inv.Config.Connection())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, parkedPatience, errors.New("no answer from the brokers; are --brokers and --kafka-tls right?"))
	defer cancel()
	where := inbound.ParkedConfig{Options: opts, Parked: inv.Config.Topology().InboundParkedTopic()}
	parked, err := inbound.ListParked(ctx, where)
	if err != nil {
		return patience(ctx, fmt.Errorf("listing what is parked: %w", err))
	}
	if verb == "list" {
		return printParked(inv.Stdout, parked)
	}
	if verb == "retry" && slices.Equal(ids, []string{"all"}) {
		// What the deduper parked was never a handler's.
		parked = slices.DeleteFunc(parked, func(p inbound.Parked) bool { return p.Group == "" })
	} else if parked, err = pick(parked, ids); err != nil {
		return err
	}
	if verb == "show" {
		return showParked(inv.Stdout, parked)
	}
	n, err := inbound.Requeue(ctx, where, parked...)
	if _, werr := fmt.Fprintf(inv.Stdout, "%d webhooks are with their handlers again\n", n); err == nil {
		err = werr
	}
	return patience(ctx, err)
}

// pick takes the events with the ids, all that there are of each: an event may
// be parked by several groups. An id that is given twice counts once, or its
// event would be handled twice.
func pick(parked []inbound.Parked, ids []string) (out []inbound.Parked, err error) {
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		had := len(out)
		for _, p := range parked {
			if p.ID == id && id != "" {
				out = append(out, p)
			}
		}
		if len(out) == had {
			return nil, fmt.Errorf("no webhook %q is parked; see: hookstream parked", id)
		}
	}
	return out, nil
}

func printParked(w io.Writer, parked []inbound.Parked) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tTYPE\tKEY\tSOURCE\tGROUP\tSINCE\tRETRIES\tERROR")
	for _, p := range parked {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", p.ID, printable(p.Type), printable(p.Key), p.Source, p.Group, p.Since.UTC().Format(time.RFC3339), p.Retries, printable(p.Error))
	}
	return tw.Flush()
}

func showParked(w io.Writer, parked []inbound.Parked) error {
	var b bytes.Buffer
	for _, p := range parked {
		fmt.Fprintf(&b, "id: %s\ntype: %s\nkey: %s\nsource: %s\ngroup: %s\nreceived: %s\nparked: %s, at %s\nretries: %d\nerror: %s\n\n%s\n",
			p.ID, printable(p.Type), printable(p.Key), p.Source, p.Group, p.Received.UTC().Format(time.RFC3339Nano), p.Since.UTC().Format(time.RFC3339), p.At, p.Retries, printable(p.Error), p.Body)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// printable keeps what senders wrote on its line: no control character reaches
// the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
