package main

// The job: what is done for each event. Every step bears a repetition, because
// an event is handled at least once.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/schemas"
)

// job has what the handlers need of the outside.
type job struct {
	store *store
	fetch func(ctx context.Context, url string) ([]byte, error)
	tell  func(ctx context.Context, email, session string) error
}

func (j *job) register(h *inbound.Handlers) {
	h.On("interview.completed", j.completed)
	h.On("session.feedback_submitted", j.feedback)
}

// event is the body of both types.
type event struct {
	Event         string                     `json:"event"`
	SessionID     string                     `json:"session_id"`
	InviteeEmail  string                     `json:"invitee_email"`
	Timestamp     string                     `json:"timestamp"`
	TranscriptURL string                     `json:"transcript_url"`
	TotalMinutes  *float64                   `json:"total_minutes"`
	Feedback      map[string]json.RawMessage `json:"feedback"`
}

func parseEvent(in *schemas.Inbound) (event, error) {
	var e event
	if err := json.Unmarshal(in.Body, &e); err != nil {
		return e, fmt.Errorf("reading the body: %w", err)
	}
	if e.SessionID == "" {
		return e, errors.New("session_id is missing")
	}
	return e, nil
}

// completed stores the interview and tells the channel. Its two steps are
// remembered apart: when the channel is away, a retry downloads nothing again.
func (j *job) completed(ctx context.Context, in *schemas.Inbound) error {
	e, err := parseEvent(in)
	if err != nil {
		return err
	}
	stage, err := j.store.stage(ctx, e.Event, e.SessionID)
	if err != nil {
		return err
	}
	if stage == stageNew {
		var row *interview
		if e.TranscriptURL != "" {
			transcript, err := j.fetch(ctx, e.TranscriptURL)
			if err != nil {
				return fmt.Errorf("downloading the transcript of session %s: %w", e.SessionID, err)
			}
			row = &interview{SessionID: e.SessionID, ParticipantEmail: e.InviteeEmail, Transcript: string(transcript),
				DurationMinutes: e.TotalMinutes, CompletedAt: e.Timestamp}
		}
		if err := j.store.addInterview(ctx, e.Event, e.SessionID, in.Body, row); err != nil {
			return err
		}
		stage = stageStored
	}
	if stage == stageStored {
		if err := j.tell(ctx, e.InviteeEmail, e.SessionID); err != nil {
			return fmt.Errorf("telling the channel about session %s: %w", e.SessionID, err)
		}
		return j.store.finish(ctx, e.Event, e.SessionID)
	}
	return nil
}

// feedback stores the session with the feedback's fields.
func (j *job) feedback(ctx context.Context, in *schemas.Inbound) error {
	e, err := parseEvent(in)
	if err != nil {
		return err
	}
	if e.Feedback == nil {
		return fmt.Errorf("session %s: feedback is missing", e.SessionID)
	}
	stage, err := j.store.stage(ctx, e.Event, e.SessionID)
	if err != nil || stage != stageNew {
		return err
	}
	return j.store.addFeedback(ctx, e.Event, e.SessionID, in.Body, e.Feedback)
}
