package consumer

// GET /v1/tail: live attempts as server-sent events.

import (
	"fmt"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/api"
)

// Routes are the live view's part of the HTTP API.
func (l *Live) Routes() []api.Route {
	return []api.Route{{Method: http.MethodGet, Pattern: "/v1/tail", Auth: api.Key, Handle: l.serve,
		Doc: api.Doc{Summary: "Attempts as they are made, as server-sent events: listening, attempt, lost, end", Tag: "deliveries", Response: LiveRow{}, Query: []api.Param{
			{Name: "tenant", Type: "string", Doc: "root key only: one tenant; all when left out"},
			{Name: "webhook_id", Type: "string", Doc: "one webhook"},
			{Name: "event_type", Type: "string", Doc: "exact, resume.* or *"},
			{Name: "status", Type: "string", Doc: "of the delivery after the attempt: pending, success, error or skipped"},
		}}}}
}

// serve streams until the client goes or this process drains. Nothing that is
// produced after the event "listening" is missed but what "lost" counts.
func (l *Live) serve(w http.ResponseWriter, r *http.Request) error {
	filter, err := l.filter(api.PrincipalOf(r.Context()), r.URL.Query())
	if err != nil {
		return err
	}
	me, err := l.feed.attach(filter)
	if err != nil {
		return err
	}
	defer l.feed.detach(me)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies of the nginx family would hold events back
	w.WriteHeader(http.StatusOK)
	s := &stream{w: w, control: http.NewResponseController(w), patience: l.cfg.Patience}
	if s.flush() == nil {
		l.pump(r, me, s)
	}
	_ = s.control.SetWriteDeadline(time.Time{}) // the connection may serve further requests
	return nil
}

// pump writes to the stream until it breaks or ends.
func (l *Live) pump(r *http.Request, me *watcher, s *stream) {
	beat := time.NewTicker(l.cfg.Heartbeat)
	defer beat.Stop()
	check := time.NewTicker(l.cfg.Heartbeat) // of its own: rows put the beat off
	defer check.Stop()
	by := api.PrincipalOf(r.Context())
	settled := me.settled
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-me.ended:
			l.drain(me, s)
			return
		case <-settled:
			settled = nil
			err = s.event("listening", []byte("{}"))
		case row := <-me.rows:
			err = s.rows(me, row)
		case <-check.C:
			if l.cfg.Known == nil || by.Root || l.cfg.Known(by) {
				continue
			}
			if s.event("end", []byte(`{"reason":"key"}`)) == nil {
				_ = s.flush()
			}
			return
		case <-beat.C:
			err = s.comment("heartbeat")
		}
		if err == nil {
			err = s.flush()
		}
		if err != nil {
			return
		}
		beat.Reset(l.cfg.Heartbeat)
	}
}

// drain writes what is there already and says goodbye. A stream that breaks
// has nobody left to tell.
func (l *Live) drain(me *watcher, s *stream) {
	select {
	case row := <-me.rows:
		if s.rows(me, row) != nil {
			return
		}
	default:
	}
	if s.event("end", []byte(`{"reason":"draining"}`)) == nil {
		_ = s.flush()
	}
}

// stream writes server-sent events.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// rows writes a row and all others that wait, behind how many were lost.
func (s *stream) rows(me *watcher, row []byte) error {
	for {
		if n := me.lost.Swap(0); n > 0 {
			if err := s.event("lost", fmt.Appendf(nil, `{"rows":%d}`, n)); err != nil {
				return err
			}
		}
		if err := s.event("attempt", row); err != nil {
			return err
		}
		select {
		case row = <-me.rows:
		default:
			return nil
		}
	}
}

func (s *stream) event(name string, data []byte) error {
	return s.write("event: %s\ndata: %s\n\n", name, data)
}

func (s *stream) comment(text string) error { return s.write(": %s\n\n", text) }

// write gives the client its time anew; without it one that stops reading
// would hold the handler for ever.
func (s *stream) write(format string, args ...any) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.patience)) // not there in some tests
	_, err := fmt.Fprintf(s.w, format, args...)
	return err
}

func (s *stream) flush() error { return s.control.Flush() }
