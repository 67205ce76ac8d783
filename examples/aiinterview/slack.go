package main

// The team channel: an incoming webhook of Slack, or of what takes the same.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

type message struct {
	Text   string    `json:"text"`
	Blocks []section `json:"blocks"`
}

type section struct {
	Type string `json:"type"`
	Text mrkdwn `json:"text"`
}

type mrkdwn struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func newMessage(email, session string) message {
	text := "New interview completed: " + email
	return message{Text: text, Blocks: []section{{Type: "section", Text: mrkdwn{Type: "mrkdwn", Text: "*" + text + "*\nSession: `" + session + "`"}}}}
}

// channel posts to one address; without one it says nothing.
type channel struct {
	url    string
	client *http.Client
}

func newChannel(address string, transport http.RoundTripper) *channel {
	return &channel{url: address, client: &http.Client{Timeout: 10 * time.Second, Transport: transport}}
}

// tell posts the message. Its errors do not name the address, which is a secret.
func (c *channel) tell(ctx context.Context, email, session string) error {
	if c.url == "" {
		return nil
	}
	body, err := json.Marshal(newMessage(email, session))
	if err != nil {
		return fmt.Errorf("writing the message: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("SLACK_WEBHOOK_URL is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("the channel cannot be reached: %w", unwrapURL(err))
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the channel answered %d: %s", resp.StatusCode, answer)
	}
	return nil
}

// unwrapURL is the cause of a client's error, without the address.
func unwrapURL(err error) error {
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}
