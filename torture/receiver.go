package main

// The receivers: a process of its own that writes down each request before it
// answers, so that what it saw outlives its own kill -9.

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const receiveCommand = "receive"

// receipt is one request that a receiver got, and what it decided to answer.
// A kill may come between the decision and the answer.
type receipt struct {
	At      int64  `json:"t"` // Unix microseconds, when the answer was decided
	Webhook int    `json:"w"`
	Event   string `json:"e"`
	Seq     int    `json:"n"` // of the event within its type
	Status  int    `json:"s"` // 0: left without an answer
}

func (r receipt) ok() bool { return r.Status >= 200 && r.Status < 300 }

func receive(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(receiveCommand, flag.ContinueOnError)
	listen := f.String("listen", "", "HOST:PORT")
	file := f.String("file", "", "where receipts go, appended")
	if err := f.Parse(args); err != nil {
		return err
	}
	out, err := os.OpenFile(*file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening the receipts: %w", err)
	}
	defer out.Close() //nolint:errcheck // each line was written by one call
	// A line that an earlier process was killed in must not swallow the next one.
	if _, err := out.WriteString("\n"); err != nil {
		return fmt.Errorf("writing receipts: %w", err)
	}
	srv := &http.Server{Addr: *listen, Handler: &receiver{out: out}}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("receiving: %w", err)
	}
	return nil
}

type receiver struct {
	mu  sync.Mutex
	out io.Writer
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(number)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	var body struct {
		Data struct {
			N int `json:"n"`
		} `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := character(name)
	if c == slow {
		time.Sleep(time.Duration(rand.IntN(800)) * time.Millisecond)
	}
	got := receipt{At: time.Now().UnixMicro(), Webhook: n, Event: r.Header.Get("webhook-id"), Seq: body.Data.N, Status: c.decide(n, r.Header.Get("webhook-id"))}
	line, err := json.Marshal(got)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	v.mu.Lock()
	_, err = v.out.Write(append(line, '\n'))
	v.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch got.Status {
	case 0:
		<-r.Context().Done()
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(got.Status)
	default:
		w.WriteHeader(got.Status)
	}
}

// decide is the status of an answer; 0 is none.
func (c character) decide(n int, event string) int {
	switch {
	case c == flaky && rand.IntN(5) == 0, c == ordered && rand.IntN(10) == 0:
		return http.StatusServiceUnavailable
	case c == sick && (time.Now().Unix()+int64(5*n))%45 < 15:
		return http.StatusInternalServerError
	case c == hanging && rand.IntN(30) == 0:
		return 0
	case c == throttled && rand.IntN(20) == 0:
		return http.StatusTooManyRequests
	}
	// What a receiver answers on success differs from event to event.
	h := fnv.New32a()
	_, _ = h.Write([]byte(event))
	return [...]int{200, 201, 202, 204}[h.Sum32()%4]
}
