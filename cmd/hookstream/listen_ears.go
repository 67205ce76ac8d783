package main

// What "listen" knows of its profiles: which one a path belongs to, how a
// request of it verifies, and what its contract answers.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/internal/receiver"
	"github.com/hookstream/hookstream/schemas/profile"
)

// ear is one profile at one path.
type ear struct {
	path    string // "/" is every path
	profile *profile.Profile
	secrets [][]byte // those that suit the profile
}

// ears are all of them. It is safe for concurrent use.
type ears struct {
	list   []ear
	status int // told by --status; 0: the profiles' own answers

	mu   sync.Mutex
	seen map[string]bool // dedupe keys that were accepted
	keys []string        // the same, oldest first
}

// seenKeys is how many accepted deliveries are recognised when they come again.
const seenKeys = 10_000

// errNoEar is a path that none of several profiles is at.
var errNoEar = errors.New("no profile is at this path")

// newEars reads --profile and --secret: NAME, or NAME,… each at /NAME, or
// PATH=NAME,….
func newEars(c Config) (*ears, error) {
	set, err := profile.Load(c.Profiles)
	if err != nil {
		return nil, fmt.Errorf("loading profiles: %w", err)
	}
	e := &ears{status: c.Receive.Status, seen: map[string]bool{}}
	names := splitList(c.Receive.Profile)
	for _, text := range names {
		path, name, placed := strings.Cut(text, "=")
		switch {
		case !placed && len(names) == 1:
			path, name = "/", text
		case !placed:
			path, name = "/"+text, text
		}
		p, ok := set.Get(name)
		if !ok {
			return nil, Usage("--profile is %q; there is no such profile: give %s", name, strings.Join(set.Names(), ", "))
		}
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#") {
			return nil, Usage("--profile puts %s at %q; give a path such as /webhook=%[1]s", name, path)
		}
		if slices.ContainsFunc(e.list, func(x ear) bool { return x.path == path }) {
			return nil, Usage("--profile has two profiles at %s; give each a path of its own", path)
		}
		x := ear{path: path, profile: p}
		if x.secrets, err = suiting(p, c.Receive.Secrets); err != nil {
			return nil, err
		}
		e.list = append(e.list, x)
	}
	return e, nil
}

// suiting are the secrets that a profile takes; one at least, if there are any.
func suiting(p *profile.Profile, texts []string) (secrets [][]byte, err error) {
	for _, text := range texts {
		if fault := p.CheckSecret(text); fault != nil {
			err = fault
			continue
		}
		secrets = append(secrets, []byte(text))
	}
	if len(texts) > 0 && len(secrets) == 0 {
		return nil, Usage("--secret does not suit profile %s: %v", p.Name(), err)
	}
	return secrets, nil
}

// at finds the profile of a path: the longest that the path begins with.
func (e *ears) at(path string) (best *ear) {
	for i := range e.list {
		x := &e.list[i]
		below := path == x.path || strings.HasPrefix(path, strings.TrimSuffix(x.path, "/")+"/")
		if below && (best == nil || len(x.path) > len(best.path)) {
			best = x
		}
	}
	return best
}

func (e *ears) verify(path string, header func(string) string, body []byte, now time.Time) error {
	x := e.at(path)
	if x == nil {
		return errNoEar
	}
	return x.profile.Verify(header, body, x.secrets, now)
}

// refuse answers as the profile's contract does.
func (e *ears) refuse(path string, err error) (receiver.Answer, bool) {
	x := e.at(path)
	if x == nil {
		return e.nowhere(), true
	}
	var refusal *profile.Refusal
	if !errors.As(err, &refusal) {
		return answerOf(x.profile, profile.CaseFailed), true
	}
	return answerOf(x.profile, refusal.Case), true
}

func (e *ears) nowhere() receiver.Answer {
	paths := make([]string, len(e.list))
	for i, x := range e.list {
		paths[i] = x.path
	}
	return receiver.Answer{Status: http.StatusNotFound, Body: []byte("no profile is here; they are at " + strings.Join(paths, ", ") + "\n"), Note: errNoEar.Error()}
}

func answerOf(p *profile.Profile, c profile.Case) receiver.Answer {
	a := p.Answer(c)
	return receiver.Answer{Status: a.Status, ContentType: a.ContentType, Body: []byte(a.Body)}
}

// accept answers a challenge, and anything else as the contract does: repeats
// and, of verified requests, bodies that lack what makes their key.
func (e *ears) accept(path string, header func(string) string, body []byte) (receiver.Answer, bool) {
	x := e.at(path)
	if x == nil {
		return e.nowhere(), true
	}
	if reply, ok := x.profile.ChallengeReply(body); ok {
		return receiver.Answer{Body: reply, Note: "challenge"}, true
	}
	if e.status != 0 {
		return receiver.Answer{}, false // told what to answer
	}
	key, whole := x.profile.DedupeKey(header, body)
	switch {
	case !whole && len(x.secrets) > 0:
		a := answerOf(x.profile, profile.CaseBadPayload)
		a.Note = "the body lacks what makes an event of " + x.profile.Name()
		return a, true
	case whole && e.again(x.path+" "+key):
		a := answerOf(x.profile, profile.CaseDuplicate)
		a.Note = "accepted before"
		return a, true
	}
	return answerOf(x.profile, profile.CaseAccepted), true
}

// again remembers a key that is accepted, and says whether it was before.
func (e *ears) again(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen[key] {
		return true
	}
	e.seen[key] = true
	e.keys = append(e.keys, key)
	if len(e.keys) > seenKeys {
		delete(e.seen, e.keys[0])
		e.keys = e.keys[1:]
	}
	return false
}
