package main

// The demo of "dev --demo": one tenant and one webhook per profile, pointed at
// a receiver in this process, and their sample events at a gentle rate.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/internal/receiver"
	"github.com/hookstream/hookstream/schemas"
)

// demoEvery is the pause between two sample events.
const demoEvery = 500 * time.Millisecond

// demo is what the sample webhooks need.
type demo struct {
	node *node
	api  string // the node's own API, http://host:port
	out  io.Writer

	mu        sync.Mutex
	endpoints map[string]string // profile → endpoint id
}

// runDemo makes what is missing and publishes until ctx ends.
func runDemo(ctx context.Context, n *devNode, out io.Writer) error {
	d := &demo{node: n.node, api: "http://" + n.addr, out: out, endpoints: map[string]string{}}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the demo's receiver: %w", err)
	}
	c := receiver.DefaultConfig()
	c.Verify, c.Accept, c.Notify, c.Logger, c.FailRate = d.verify, d.respond, d.show, n.log, 0.05
	r, err := receiver.New(c)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: demoHandler(r), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	defer func() { _ = srv.Close(); <-served }()

	base := "http://" + listener.Addr().String()
	for _, name := range n.profiles.Names() {
		if err := d.webhook(ctx, name, base+"/"+name); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("making the demo's webhook for %s: %w", name, err)
		}
	}
	fmt.Fprintf(out, `Demo: for each profile a tenant, demo-NAME, with one webhook and its sample events.
5 %% of the answers are 503, to show retries. Ctrl-C ends it; what it made stays in the data folder.
  what the receiver got  %s/deliveries

`, base)
	return d.publish(ctx, base)
}

// webhook makes or re-points the profile's tenant and webhook through the API.
func (d *demo) webhook(ctx context.Context, name, url string) error {
	tenant := demoTenant(name)
	var keys struct {
		Data []json.RawMessage `json:"data"`
	}
	err := d.call(ctx, http.MethodGet, "/v1/tenants/"+tenant+"/keys", nil, &keys)
	var p *api.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		err = d.call(ctx, http.MethodPost, "/v1/tenants", map[string]any{"id": tenant, "name": "Demo of " + name, "profile": name}, nil)
	}
	if err != nil {
		return err
	}
	if len(keys.Data) == 0 {
		// The first key makes the tenant's API Secret, which some profiles sign with.
		if err := d.call(ctx, http.MethodPost, "/v1/tenants/"+tenant+"/keys", map[string]any{"name": "demo"}, nil); err != nil {
			return err
		}
	}
	var list struct {
		Data []struct {
			ID  string `json:"id"`
			UID string `json:"uid"`
		} `json:"data"`
	}
	if err := d.call(ctx, http.MethodGet, "/v1/webhooks?tenant="+tenant, nil, &list); err != nil {
		return err
	}
	for _, w := range list.Data {
		if w.UID == "demo" {
			d.put(name, w.ID)
			if err := d.call(ctx, http.MethodPatch, "/v1/webhooks/"+w.ID, map[string]any{"url": url, "active": true}, nil); err != nil {
				return err
			}
			return d.challenge(ctx, name, w.ID)
		}
	}
	var made struct {
		ID string `json:"id"`
	}
	err = d.call(ctx, http.MethodPost, "/v1/webhooks", map[string]any{"tenant": tenant, "uid": "demo", "name": "Demo receiver", "url": url, "events": []string{"*"}, "profile": name}, &made)
	if err != nil {
		return err
	}
	d.put(name, made.ID)
	return d.challenge(ctx, name, made.ID)
}

// challenge asks for the verification once the receiver knows the webhook: the
// one that its making started may have come before.
func (d *demo) challenge(ctx context.Context, name, id string) error {
	if p, ok := d.node.profiles.Get(name); !ok || !p.Challenged() {
		return nil
	}
	return d.call(ctx, http.MethodPost, "/v1/webhooks/"+id+"/verify", nil, nil)
}

// respond answers challenges as their profile says.
func (d *demo) respond(path string, _ func(string) string, body []byte) (receiver.Answer, bool) {
	p, ok := d.node.profiles.Get(strings.Trim(path, "/"))
	if !ok {
		return receiver.Answer{}, false
	}
	answer, ok := p.ChallengeReply(body)
	return receiver.Answer{Body: answer}, ok
}

func (d *demo) put(profile, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.endpoints[profile] = schemas.InnerID(id, schemas.WebhookPrefix, "webhook_")
}

// call asks the node's API as root. A problem comes back as *api.Problem.
func (d *demo) call(ctx context.Context, method, path string, body, into any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, d.api+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+d.node.cfg.APIKey)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		p := &api.Problem{Status: resp.StatusCode, Code: "unknown"}
		_ = json.Unmarshal(answer, p)
		return p
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// verify checks a delivery with the secrets that the registry has now.
func (d *demo) verify(path string, header func(string) string, body []byte, now time.Time) error {
	name := strings.Trim(path, "/")
	p, ok := d.node.profiles.Get(name)
	d.mu.Lock()
	id := d.endpoints[name]
	d.mu.Unlock()
	if !ok || id == "" {
		return fmt.Errorf("no demo webhook points at %s", path)
	}
	target, ok := d.node.registry.Target(id)
	if !ok {
		return errors.New("the webhook is deleted")
	}
	return p.Verify(header, body, target.Secrets, now)
}

// show prints one line per delivery.
func (d *demo) show(x receiver.Delivery) {
	line := fmt.Sprintf("%s  %-11s  %-9s → %d  %d bytes", x.Time.Format("15:04:05.000"), strings.Trim(x.Path, "/"), x.Verdict, x.Status, len(x.Body))
	if x.Reason != "" {
		line += "  " + x.Reason
	}
	fmt.Fprintln(d.out, line)
}

// publish produces the profiles' samples in turn until ctx ends.
func (d *demo) publish(ctx context.Context, base string) error {
	names := d.node.profiles.Names()
	events := newDemoEvents(base)
	ticker := time.NewTicker(demoEvery)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		p, _ := d.node.profiles.Get(names[i%len(names)])
		ev, ok := events.next(p, time.Now().UTC())
		if !ok {
			continue
		}
		if err := d.node.publish(ctx, ev); err != nil && ctx.Err() == nil {
			d.node.log.Warn("demo event not published", "type", ev.Type, "error", err)
		}
	}
}
