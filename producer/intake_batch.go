package producer

// Batches by HTTP: NDJSON in, one result for every line.

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// BatchAnswer says for every line whether it was accepted. Lines behind the
// last result were not read: Code says why.
type BatchAnswer struct {
	Accepted int          `json:"accepted"`
	Rejected int          `json:"rejected"`
	Code     string       `json:"code,omitempty"`   // why reading stopped early
	Detail   string       `json:"detail,omitempty"` // the same for people
	Results  []LineResult `json:"results"`
}

// LineResult is one line's: an id, or an error.
type LineResult struct {
	Line      int        `json:"line"` // from 1; blank lines count but have no result
	ID        string     `json:"id,omitempty"`
	Duplicate bool       `json:"duplicate,omitempty"` // accepted before, and not published again
	Error     *LineFault `json:"error,omitempty"`
}

// LineFault is a problem of one line: what a request of its own would have got.
type LineFault struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

// The most that is read before it is published.
const (
	chunkLines = 500
	chunkBytes = 4 << 20
)

func (in *Intake) batch(w http.ResponseWriter, r *http.Request) error {
	if err := in.room(); err != nil {
		return err
	}
	force, refused := forced(r)
	if refused != nil {
		return refused
	}
	b := intakeBatch{in: in, r: r, force: force}
	lines := newLineReader(r.Body, in.cfg.DataLimit+envelopeRoom)
	for read := 0; ; read++ {
		line, err := lines.next()
		var long *LineTooLongError
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.As(err, &long) {
			b.stop(api.BodyProblem(err))
			break
		}
		if read == in.cfg.MaxLines {
			b.stop(api.Fail(http.StatusRequestEntityTooLarge, "too_many_lines", "", "a batch has at most %d lines; send the rest in another", in.cfg.MaxLines))
			break
		}
		if err != nil {
			b.refuse(lines.line, problemOf(err, ""))
		} else {
			b.take(lines.line, line)
		}
		if len(b.events) >= chunkLines || b.bytes >= chunkBytes {
			if b.flush(); b.down {
				b.stop(api.Fail(http.StatusServiceUnavailable, "unavailable", "", "Kafka takes no events at the moment; send again the lines without an id here and those behind them"))
				break
			}
		}
	}
	b.flush()
	return b.answer(w)
}

// intakeBatch is one request's work.
type intakeBatch struct {
	in     *Intake
	r      *http.Request
	force  bool
	out    BatchAnswer
	events []offer
	at     []int // index in out.Results of each event
	bytes  int
	down   bool         // Kafka did not answer
	first  *api.Problem // the first line's that was refused
}

func (b *intakeBatch) take(number int, line []byte) {
	ev, problem := b.in.parse(b.r, &schemas.Record{Value: line})
	if problem == nil {
		problem = b.in.check(b.r.Context(), &ev)
	}
	if problem != nil {
		b.refuse(number, problem)
		return
	}
	b.out.Results = append(b.out.Results, LineResult{Line: number})
	b.events, b.at = append(b.events, b.in.offer(ev, b.force)), append(b.at, len(b.out.Results)-1)
	b.bytes += len(line)
}

func (b *intakeBatch) refuse(number int, p *api.Problem) {
	b.out.Results = append(b.out.Results, LineResult{Line: number})
	b.fault(len(b.out.Results)-1, p)
}

func (b *intakeBatch) fault(at int, p *api.Problem) {
	b.out.Results[at].Error = &LineFault{Status: p.Status, Code: p.Code, Field: p.Field, Detail: p.Detail}
	b.out.Rejected++
	if b.first == nil {
		b.first = p
	}
}

func (b *intakeBatch) flush() {
	if len(b.events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(b.r.Context(), b.in.cfg.Timeout)
	defer cancel()
	for i, o := range b.in.publish(ctx, b.events) {
		if o.problem != nil {
			b.down = b.down || o.problem.Status == http.StatusServiceUnavailable
			b.fault(b.at[i], o.problem)
			continue
		}
		b.out.Results[b.at[i]].ID, b.out.Results[b.at[i]].Duplicate = o.id, o.duplicate
		b.out.Accepted++
	}
	b.events, b.at, b.bytes = b.events[:0], b.at[:0], 0
}

// stop notes why the rest was not read.
func (b *intakeBatch) stop(err error) {
	var p *api.Problem
	if !errors.As(err, &p) {
		p = api.Fail(http.StatusBadRequest, "bad_body", "", "the body broke off: send it whole")
	}
	if b.out.Code == "" {
		b.out.Code, b.out.Detail = p.Code, p.Detail
	}
	if b.first == nil {
		b.first = p
	}
}

// answer is 202 when every line was accepted and read, 207 when some were, and
// the first fault's status when none was.
func (b *intakeBatch) answer(w http.ResponseWriter) error {
	status := http.StatusAccepted
	switch {
	case len(b.out.Results) == 0 && b.first == nil:
		return api.Fail(http.StatusBadRequest, "bad_body", "", "the body has no line; send one event a line")
	case len(b.out.Results) == 0:
		return b.first
	case b.out.Accepted == 0 && b.down:
		status = http.StatusServiceUnavailable
	case b.out.Accepted == 0:
		status = b.first.Status
	case b.out.Rejected > 0 || b.out.Code != "":
		status = http.StatusMultiStatus
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	return api.WriteJSON(w, status, b.out)
}
