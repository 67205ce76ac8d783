package api

// Problem answers: RFC 9457 problem+json with a stable code and an id that is
// also in the log.

import (
	"fmt"
	"net/http"
)

// Problem is an error that a client sees. Code is stable; Detail is for people
// and says the cure.
type Problem struct {
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Title      string `json:"title"`
	Detail     string `json:"detail,omitempty"`
	Field      string `json:"field,omitempty"` // the field that is wrong
	ID         string `json:"id,omitempty"`    // of this answer, also in the log
	RetryAfter int    `json:"-"`               // seconds, sent as Retry-After when > 0
}

func (p *Problem) Error() string {
	if p.Field != "" {
		return fmt.Sprintf("%s: %s: %s", p.Code, p.Field, p.Detail)
	}
	return p.Code + ": " + p.Detail
}

// Fail makes a Problem; its title is the status's own text.
func Fail(status int, code, field, detail string, args ...any) *Problem {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Problem{Status: status, Code: code, Title: http.StatusText(status), Field: field, Detail: detail}
}

// NotFound is a 404 for a noun and its id.
func NotFound(noun, id string) *Problem {
	return Fail(http.StatusNotFound, "not_found", "", "no %s %q here", noun, id)
}
