package inbound

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/schemas"
)

func aiinterview(body string) map[string]string {
	return map[string]string{"X-Webhook-Signature": hexMAC(testSecret, body)}
}

// interviewAnswers are what the product's receivers answer, as text and as JSON.
func interviewAnswers() map[string]map[string]string {
	return map[string]map[string]string{
		"text": {"ok": "OK", "again": "Already processed", "signature": "Invalid signature", "payload": "Invalid payload", "failed": "Processing failed", "type": "text/plain; charset=utf-8"},
		"json": {"ok": `{"message":"OK"}`, "again": `{"message":"Already processed"}`, "signature": `{"error":"Invalid signature"}`,
			"payload": `{"error":"Invalid payload"}`, "failed": `{"error":"Internal server error"}`, "type": "application/json"},
	}
}

func TestReceiveAIInterview(t *testing.T) {
	const body = `{"event":"interview.completed","session_id":"ID","invitee_email":"kim@example.com","transcript_url":"https://files.example.com/t.json"}`
	cluster := kafkatest.Start(t)
	for form, words := range interviewAnswers() {
		t.Run(form, func(t *testing.T) {
			source := "interviews-" + form
			x := receive(t, cluster, nil,
				source+"=aiinterview,secret-env=SECRETS,answers="+form+",path=/webhooks/ai-interview,/api/webhooks/ai-interview,/webhooks")
			n := 0
			for name, c := range map[string]struct {
				body   string
				change func(h map[string]string, body string)
				status int
				answer string
			}{
				"right":                    {body, nil, 200, "ok"},
				"the name in lower case":   {body, rename(strings.ToLower), 200, "ok"},
				"the older secret":         {body, func(h map[string]string, b string) { h["X-Webhook-Signature"] = hexMAC("an-older-secret", b) }, 200, "ok"},
				"white space and escapes":  {"{ \"event\":\"session.feedback_submitted\", \"session_id\":\"ID\", \"feedback\":{\"c\":\"\\u00e9\\u2028 é \U0001F642\"} }\n", nil, 200, "ok"},
				"an unknown event":         {`{"event":"interview.rescheduled","session_id":"ID"}`, nil, 200, "ok"},
				"an odd event":             {`{"event":"Éclair * of <things>","session_id":"ID"}`, nil, 200, "ok"},
				"body changed":             {body, func(h map[string]string, b string) { h["X-Webhook-Signature"] = hexMAC(testSecret, b+" ") }, 401, "signature"},
				"another secret":           {body, func(h map[string]string, b string) { h["X-Webhook-Signature"] = hexMAC("other", b) }, 401, "signature"},
				"upper-case hex":           {body, upper("X-Webhook-Signature"), 401, "signature"},
				"a prefix":                 {body, prefix("X-Webhook-Signature"), 401, "signature"},
				"one digit less":           {body, shorten("X-Webhook-Signature"), 401, "signature"},
				"odd letters":              {body, func(h map[string]string, _ string) { h["X-Webhook-Signature"] = strings.Repeat("zz", 32) }, 401, "signature"},
				"no signature":             {body, without("X-Webhook-Signature"), 401, "signature"},
				"an empty signature":       {body, empty("X-Webhook-Signature"), 401, "signature"},
				"no JSON":                  {`event=interview.completed&session_id=ID`, nil, 400, "payload"},
				"no session":               {`{"event":"interview.completed"}`, nil, 400, "payload"},
				"a session that is a list": {`{"event":"interview.completed","session_id":["ID"]}`, nil, 400, "payload"},
				"no event":                 {`{"session_id":"ID"}`, nil, 400, "payload"},
			} {
				n++
				b := strings.ReplaceAll(c.body, "ID", fmt.Sprintf("ses_%d", n))
				h := aiinterview(b)
				if c.change != nil {
					c.change(h, b)
				}
				a := x.post("/webhooks/ai-interview", b, h)
				if x.want(name, a, c.status, words[c.answer]); a.ctype != words["type"] {
					t.Errorf("%s: content type %q, want %q", name, a.ctype, words["type"])
				}
				if c.status != 200 {
					continue
				}
				for _, path := range []string{"/api/webhooks/ai-interview", "/webhooks", "/in/" + source} {
					x.want(name+" again at "+path, x.post(path, b, h), 200, words["again"])
				}
				x.want(name+" again, not signed", x.post("/webhooks", b, nil), 401, words["signature"])
			}
			raw := slices.DeleteFunc(x.raw(), func(in schemas.Inbound) bool { return in.Source != source })
			if len(raw) != 6 {
				t.Errorf("inbound.raw has %d records, want one for each accepted body", len(raw))
			}
			for _, in := range raw {
				if event, session, _ := strings.Cut(in.Key, ":"); event != in.Type || !strings.HasPrefix(session, "ses_") {
					t.Errorf("the key of an event of type %q is %q; want EVENT:SESSION_ID", in.Type, in.Key)
				}
			}
			if line := x.log.last("event=interview.rescheduled", "unlisted=true", "verdict=accepted", "session_id="); line == "" {
				t.Errorf("no log line of the unknown event:\n%s", x.log)
			}
			for _, verdict := range []string{"accepted", "duplicate", "bad_signature", "unsigned"} {
				if line := x.log.last("verdict="+verdict, "event=interview.completed", "session_id=ses_"); line == "" {
					t.Errorf("no log line of the verdict %s:\n%s", verdict, x.log)
				}
			}
		})
	}
}

// TestReceiveRecordKeys: the key is stored as webhook:EVENT:SESSION_ID.
func TestReceiveRecordKeys(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "interviews=aiinterview,secret-env=SECRET,tenant=acme")
	body := `{"event":"session.feedback_submitted","session_id":"ses_51b","feedback":{"rating":4}}`
	x.want("feedback", x.post("/in/interviews", body, aiinterview(body)), 200, "OK")
	recs := landed(t, x.cluster, x.cluster.Topology.InboundRawTopic())
	if len(recs) != 1 || string(recs[0].Key) != "webhook:session.feedback_submitted:ses_51b" || string(recs[0].Value) != body {
		t.Fatalf("inbound.raw has %+v", recs)
	}
	if tenant, _ := recs[0].Header(schemas.HdrTenant); tenant != "acme" {
		t.Errorf("the tenant is %q", tenant)
	}
}

func TestReceiveOtherMethods(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "interviews=aiinterview,secret-env=SECRET,path=/webhooks/ai-interview")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		a := x.send(method, "/webhooks/ai-interview", nil, nil)
		x.want(method, a, 405, `{"error":"Method not allowed"}`)
		if a.header.Get("Allow") != http.MethodPost || a.ctype != "application/json" {
			t.Errorf("%s: Allow %q, type %q", method, a.header.Get("Allow"), a.ctype)
		}
	}
	if a := x.send(http.MethodHead, "/webhooks/ai-interview", nil, nil); a.status != 405 {
		t.Errorf("HEAD: %d", a.status)
	}
}

// TestReceiveBodyInPieces: a chunked body whose pieces end inside characters is
// checked as it was sent.
func TestReceiveBodyInPieces(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "interviews=aiinterview,secret-env=SECRET")
	body := `{"event":"session.feedback_submitted","session_id":"ses_1","feedback":{"comment":"très 🙂 ` + strings.Repeat("日本🙂", 3000) + `"}}`
	conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /in/interviews HTTP/1.1\r\nHost: h\r\nx-webhook-SIGNATURE: %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", hexMAC(testSecret, body))
	for i := 0; i < len(body); {
		n := min(7+i%1900, len(body)-i) // odd lengths: most end inside a character
		fmt.Fprintf(conn, "%x\r\n%s\r\n", n, body[i:i+n])
		i += n
	}
	fmt.Fprint(conn, "0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	if raw := x.raw(); len(raw) != 1 || string(raw[0].Body) != body {
		t.Error("the record does not hold the body as it was sent")
	}
}

// TestReceiveSimultaneousCopies: copies that come at once, over two receivers
// that know nothing of each other but the log: one is accepted.
func TestReceiveSimultaneousCopies(t *testing.T) {
	c := kafkatest.Start(t)
	two := []*running{receive(t, c, nil, "interviews=aiinterview,secret-env=SECRET"), receive(t, c, nil, "interviews=aiinterview,secret-env=SECRET")}
	const sessions, copies = 20, 20
	var mu sync.Mutex
	accepted, repeated := map[int]int{}, map[int]int{}
	var wg sync.WaitGroup
	for n := range copies {
		wg.Go(func() {
			for i := range sessions {
				body := fmt.Sprintf(`{"event":"interview.completed","session_id":"ses_%d"}`, i)
				a := two[n%2].post("/in/interviews", body, aiinterview(body))
				mu.Lock()
				switch {
				case a.status == 200 && a.body == "OK":
					accepted[i]++
				case a.status == 200 && a.body == "Already processed":
					repeated[i]++
				default:
					t.Errorf("session %d: %d %q", i, a.status, a.body)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := range sessions {
		if accepted[i] != 1 || repeated[i] != copies-1 {
			t.Errorf("session %d: %d accepted, %d repeated; want 1 and %d", i, accepted[i], repeated[i], copies-1)
		}
	}
}

// TestReceiveFailedEnqueue: what could not be written is answered with the
// product's 5xx, and the sender's retry is taken as new.
func TestReceiveFailedEnqueue(t *testing.T) {
	cluster := kafkatest.Start(t)
	for form, words := range interviewAnswers() {
		var mu sync.Mutex
		away := true
		x := receive(t, cluster, func(c *ReceiverConfig) {
			through := c.Append
			c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
				mu.Lock()
				defer mu.Unlock()
				if away {
					done(-1, errors.New("no broker"))
					return
				}
				through(ctx, rec, done)
			}
		}, form+"=aiinterview,secret-env=SECRET,answers="+form)
		body := `{"event":"interview.completed","session_id":"ses_1"}`
		for range 3 {
			x.want("while Kafka is away", x.post("/in/"+form, body, aiinterview(body)), 500, words["failed"])
		}
		if line := x.log.last("level=ERROR", "verdict=failed", "no broker", "event=interview.completed", "session_id=ses_1"); line == "" {
			t.Errorf("the cause is not in the log:\n%s", x.log)
		}
		mu.Lock()
		away = false
		mu.Unlock()
		x.want("the retry", x.post("/in/"+form, body, aiinterview(body)), 200, words["ok"])
		x.want("another one", x.post("/in/"+form, body, aiinterview(body)), 200, words["again"])
	}
}

// TestReceiveKafkaThatDoesNotAnswer: the sender is told to try again after a
// while, and what was written after all is not an event twice.
func TestReceiveKafkaThatDoesNotAnswer(t *testing.T) {
	held := make(chan func(), 10)
	x := receive(t, kafkatest.Start(t), func(c *ReceiverConfig) {
		through := c.Append
		c.Enqueue = 200 * time.Millisecond
		c.Append = func(_ context.Context, rec schemas.Record, done func(int64, error)) {
			held <- func() { through(context.Background(), rec, done) }
		}
	}, "interviews=aiinterview,secret-env=SECRET")
	body := `{"event":"interview.completed","session_id":"ses_1"}`
	x.want("no ack", x.post("/in/interviews", body, aiinterview(body)), 500, "Processing failed")
	(<-held)() // now Kafka has it
	eventually(t, "the log has the record", func() bool { keys, _ := x.r.seen.size(); return keys == 1 })
	x.want("the retry", x.post("/in/interviews", body, aiinterview(body)), 200, "Already processed")
}

// TestReceiveRemembersOverRestarts: a new process knows the window.
func TestReceiveRemembersOverRestarts(t *testing.T) {
	c := kafkatest.Start(t)
	body := `{"event":"interview.completed","session_id":"ses_1"}`
	x := receive(t, c, nil, "interviews=aiinterview,secret-env=SECRET")
	x.want("first", x.post("/in/interviews", body, aiinterview(body)), 200, "OK")
	x.stop()
	x = receive(t, c, nil, "interviews=aiinterview,secret-env=SECRET", "others=aiinterview,secret-env=SECRET")
	x.want("after a restart", x.post("/in/interviews", body, aiinterview(body)), 200, "Already processed")
	x.want("of another source", x.post("/in/others", body, aiinterview(body)), 200, "OK")
	if got := builtinWindow(t, "aiinterview"); got != 86400*time.Second {
		t.Errorf("keys are kept for %v, want 86,400 s", got)
	}
}

func builtinWindow(t *testing.T, name string) time.Duration {
	p, ok := builtin(t).Get(name)
	if !ok {
		t.Fatal(name)
	}
	return p.Window()
}
