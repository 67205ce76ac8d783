package main

// The job: what is done for each event.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/schemas"
)

// suggestBelow is the overall score below which suggestions are asked for.
const suggestBelow = 70

// job has what the handlers need of the outside.
type job struct {
	store *store
	send  func(context.Context, notice) error
}

func (j *job) register(h *inbound.Handlers) {
	h.On("resume.created", j.handler(created))
	h.On("resume.updated", j.handler(updated))
	h.On("ai.analysis_completed", j.handler(analysed))
	h.On("user.subscription_changed", j.handler(subscribed))
}

// event is the envelope, with the data of the types that are handled.
type event struct {
	ID   string `json:"id"`
	Data struct {
		Resume       *resume       `json:"resume"`
		Analysis     *analysis     `json:"analysis"`
		User         *user         `json:"user"`
		Subscription *subscription `json:"subscription"`
	} `json:"data"`
}

type resume struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	Status     string `json:"status"`
	UserID     string `json:"user_id"`
	TemplateID string `json:"template_id"`
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
}

type analysis struct {
	ResumeID     string  `json:"resume_id"`
	Overall      float64 `json:"overall_score"`
	KeywordMatch float64 `json:"keyword_match_score"`
	Format       float64 `json:"format_score"`
	Content      float64 `json:"content_score"`
	Suggestions  int     `json:"suggestions_count"`
}

type user struct {
	ID    string `json:"id"`
	Email string `json:"email"`
}

type subscription struct {
	Previous  string `json:"previous_type"`
	Current   string `json:"current_type"`
	ChangedAt string `json:"changed_at"`
}

// notice is something that somebody is to be told.
type notice struct {
	Kind    string
	To      string // a user's id, or an address
	Message string
}

// handler does an event's writes in one transaction, with what is to be told as
// rows of it, and tells afterwards. A repetition finds the event done, and tells
// only what was not.
func (j *job) handler(do func(context.Context, *writes, *event) error) inbound.Handler {
	return func(ctx context.Context, in *schemas.Inbound) error {
		var e event
		if err := json.Unmarshal(in.Body, &e); err != nil {
			return fmt.Errorf("reading the body: %w", err)
		}
		if e.ID == "" {
			return errors.New("id is missing")
		}
		if err := j.store.once(ctx, e.ID, func(w *writes) error { return do(ctx, w, &e) }); err != nil {
			return fmt.Errorf("storing event %s: %w", e.ID, err)
		}
		return j.store.tell(ctx, e.ID, j.send)
	}
}

func created(ctx context.Context, w *writes, e *event) error {
	r := e.Data.Resume
	if r == nil || r.ID == "" {
		return errors.New("data.resume is missing")
	}
	if err := w.resume(ctx, r); err != nil {
		return err
	}
	return w.notice(ctx, notice{"resume_created", r.UserID, fmt.Sprintf("Resume %q has been created", r.Title)})
}

func updated(ctx context.Context, w *writes, e *event) error {
	r := e.Data.Resume
	if r == nil || r.ID == "" {
		return errors.New("data.resume is missing")
	}
	return w.resume(ctx, r)
}

func analysed(ctx context.Context, w *writes, e *event) error {
	a := e.Data.Analysis
	if a == nil || a.ResumeID == "" {
		return errors.New("data.analysis is missing")
	}
	if err := w.analysis(ctx, a); err != nil {
		return err
	}
	if a.Overall >= suggestBelow {
		return nil
	}
	to, err := w.owner(ctx, a.ResumeID)
	if err != nil {
		return err
	}
	return w.notice(ctx, notice{"improvement_suggestions", to, fmt.Sprintf("Resume %s scores %g; %d suggestions", a.ResumeID, a.Overall, a.Suggestions)})
}

func subscribed(ctx context.Context, w *writes, e *event) error {
	u, s := e.Data.User, e.Data.Subscription
	if u == nil || u.ID == "" || s == nil || s.Current == "" {
		return errors.New("data.user and data.subscription are both needed")
	}
	if err := w.plan(ctx, u, s); err != nil {
		return err
	}
	if s.Previous != "FREE" || s.Current != "PREMIUM" {
		return nil
	}
	return w.notice(ctx, notice{"welcome_premium", u.Email, "Welcome to PREMIUM"})
}
