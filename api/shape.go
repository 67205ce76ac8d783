package api

// Shapes: how problems look under a path that keeps to another product's
// contract.

import (
	"errors"
	"strings"
)

// Shape replaces problem+json under a path, for the problems of handlers and
// for the mux's own.
type Shape struct {
	// Prefix is a path without a final slash; the shape holds there and below.
	Prefix string
	// Write gives the status and the JSON body for a problem.
	Write func(p Problem) (status int, body any)
}

// Validate names the field that is wrong and the cure.
func (s Shape) Validate() error {
	if !strings.HasPrefix(s.Prefix, "/") || strings.HasSuffix(s.Prefix, "/") {
		return errors.New("api: a Shape's Prefix is no path without a final slash; give for example /api/webhooks")
	}
	if s.Write == nil {
		return errors.New("api: a Shape's Write is nil; give how its problems look")
	}
	return nil
}

// holds says whether a path lies under the shape's.
func (s Shape) holds(path string) bool {
	rest, ok := strings.CutPrefix(path, s.Prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// shapeOf is the shape with the longest prefix of a path; nil: problem+json.
func (m *Mux) shapeOf(path string) *Shape {
	var best *Shape
	for i := range m.cfg.Shapes {
		s := &m.cfg.Shapes[i]
		if s.holds(path) && (best == nil || len(s.Prefix) > len(best.Prefix)) {
			best = s
		}
	}
	return best
}
