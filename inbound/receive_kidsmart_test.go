package inbound

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

// kidsmart signs a body as its product does, with an openssl-like MAC of ours.
func kidsmart(body, at string) map[string]string {
	return map[string]string{"X-KidSmart-Signature": hexMAC(testSecret, at+"."+body), "X-KidSmart-Timestamp": at}
}

func TestReceiveKidSmart(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "kids=kidsmart,secret-env=SECRET,path=/webhook")
	const success, refused = `{"status":"success"}`, `{"error":"Invalid signature"}`
	body := func(id string) string {
		return `{"type":"fluency","assessment_id":"` + id + `","result":{"score":25.0}}`
	}
	n, before := 0, 0
	for name, c := range map[string]struct {
		body   string // ID is replaced
		change func(h map[string]string, body string)
		status int
		answer string
	}{
		"right":                {body(`ID`), nil, 200, success},
		"names in upper case":  {body(`ID`), rename(strings.ToUpper), 200, success},
		"names in lower case":  {body(`ID`), rename(strings.ToLower), 200, success},
		"white space":          {"{ \"type\" : \"fluency\",\n\t\"assessment_id\": \"ID\" }\n", nil, 200, success},
		"escapes":              {`{"type":"fl\u0075ency","assessment_id":"ID","n":"\u00e9\u003c"}`, nil, 200, success},
		"another word as type": {`{"type":"spelling","assessment_id":"ID"}`, nil, 200, success},
		"almost too old":       {body(`ID`), resign(-295 * time.Second), 200, success},
		"almost too far ahead": {body(`ID`), resign(295 * time.Second), 200, success},
		"stale":                {body(`ID`), resign(-302 * time.Second), 401, refused},
		"future":               {body(`ID`), resign(310 * time.Second), 401, refused},
		"body changed": {body(`ID`), func(h map[string]string, b string) {
			h["X-KidSmart-Signature"] = hexMAC(testSecret, h["X-KidSmart-Timestamp"]+"."+b+" ")
		}, 401, refused},
		"timestamp changed": {body(`ID`), func(h map[string]string, _ string) { h["X-KidSmart-Timestamp"] = ts(-5 * time.Second) }, 401, refused},
		"another secret": {body(`ID`), func(h map[string]string, b string) {
			h["X-KidSmart-Signature"] = hexMAC("other", h["X-KidSmart-Timestamp"]+"."+b)
		}, 401, refused},
		"signed as a bytes literal": {body(`ID`), func(h map[string]string, b string) {
			h["X-KidSmart-Signature"] = hexMAC(testSecret, h["X-KidSmart-Timestamp"]+".b'"+b+"'")
		}, 401, refused},
		"headers swapped": {body(`ID`), func(h map[string]string, _ string) {
			h["X-KidSmart-Signature"], h["X-KidSmart-Timestamp"] = h["X-KidSmart-Timestamp"], h["X-KidSmart-Signature"]
		}, 401, refused},
		"upper-case hex":           {body(`ID`), upper("X-KidSmart-Signature"), 401, refused},
		"a prefix":                 {body(`ID`), prefix("X-KidSmart-Signature"), 401, refused},
		"one digit less":           {body(`ID`), shorten("X-KidSmart-Signature"), 401, refused},
		"one digit more":           {body(`ID`), func(h map[string]string, _ string) { h["X-KidSmart-Signature"] += "0" }, 401, refused},
		"a signature that is long": {body(`ID`), func(h map[string]string, _ string) { h["X-KidSmart-Signature"] = strings.Repeat("ab", 4000) }, 401, refused},
		"no signature":             {body(`ID`), without("X-KidSmart-Signature"), 401, refused},
		"an empty signature":       {body(`ID`), empty("X-KidSmart-Signature"), 401, refused},
		"no timestamp":             {body(`ID`), without("X-KidSmart-Timestamp"), 401, refused},
		"an empty timestamp":       {body(`ID`), empty("X-KidSmart-Timestamp"), 401, refused},
		"no headers at all":        {body(`ID`), func(h map[string]string, _ string) { clear(h) }, 401, refused},
		"a timestamp in words":     {body(`ID`), resignAt("now"), 401, refused},
		"a fraction of a second":   {body(`ID`), resignAt(ts(0) + ".5"), 401, refused},
		"digits and junk":          {body(`ID`), resignAt(ts(0) + "x"), 401, refused},
		"a sign before it":         {body(`ID`), resignAt("+" + ts(0)), 401, refused},
		"milliseconds":             {body(`ID`), resignAt(ts(0) + "000"), 401, refused},
		"no JSON":                  {`{"type":`, nil, 400, `{"error":"Invalid payload"}`},
		"an array":                 {`["fluency","ID"]`, nil, 400, `{"error":"Invalid payload"}`},
		"a string":                 {`"ID"`, nil, 400, `{"error":"Invalid payload"}`},
		"an empty body":            {``, nil, 400, `{"error":"Invalid payload"}`},
		"no assessment":            {`{"type":"fluency"}`, nil, 400, `{"error":"Invalid payload"}`},
		"no type":                  {`{"assessment_id":"ID"}`, nil, 400, `{"error":"Invalid payload"}`},
	} {
		n++
		id := fmt.Sprintf("as_%d", n)
		b := strings.ReplaceAll(c.body, "ID", id)
		h := kidsmart(b, ts(0))
		if c.change != nil {
			c.change(h, b)
		}
		x.want(name, x.post("/webhook", b, h), c.status, c.answer)
		after := x.raw()
		if want := c.status == 200; len(after)-before != map[bool]int{true: 1}[want] {
			t.Errorf("%s: %d records were written", name, len(after)-before)
		}
		before = len(after)
		for _, in := range after {
			if in.Key == id && string(in.Body) != b {
				t.Errorf("%s: the record holds %q, not the body as sent", name, in.Body)
			}
			if in.Key == id && (in.Unlisted != (name == "another word as type") || in.Type == "") {
				t.Errorf("%s: the record has the type %q, unlisted %v", name, in.Type, in.Unlisted)
			}
		}
	}
}

// TestReceiveKidSmartRepeats: the assessment alone is the key, at both of the
// source's paths; a repeat that is not signed is refused.
func TestReceiveKidSmartRepeats(t *testing.T) {
	x := receive(t, kafkatest.Start(t), nil, "kids=kidsmart,secret-env=SECRET,path=/webhook")
	first := `{"type":"fluency","assessment_id":"as_1"}`
	other := `{"type":"recognition","assessment_id":"as_1","status":"completed"}`
	x.want("first", x.post("/webhook", first, kidsmart(first, ts(0))), 200, `{"status":"success"}`)
	x.want("again", x.post("/in/kids", first, kidsmart(first, ts(-time.Second))), 200, `{"status":"success"}`)
	x.want("of another type", x.post("/webhook", other, kidsmart(other, ts(0))), 200, `{"status":"success"}`)
	x.want("not signed", x.post("/webhook", first, nil), 401, `{"error":"Invalid signature"}`)
	if raw := x.raw(); len(raw) != 1 || raw[0].Type != "fluency" || raw[0].Key != "as_1" || raw[0].Source != "kids" || raw[0].Tenant != "default" {
		t.Errorf("inbound.raw holds %+v", raw)
	}
	if line := x.log.last("verdict=duplicate", "assessment_id=as_1", "source=kids", "event=fluency", "time="); line == "" {
		t.Errorf("no log line of the repeat:\n%s", x.log)
	}
	if line := x.log.last("verdict=unsigned", "assessment_id=as_1", "reason=", "level=WARN"); line == "" {
		t.Errorf("no log line of the refusal:\n%s", x.log)
	}
}

// What variants do to the headers of a rightly signed request.

func rename(how func(string) string) func(map[string]string, string) {
	return func(h map[string]string, _ string) {
		for name, value := range h {
			delete(h, name)
			h[how(name)] = value
		}
	}
}

func resign(off time.Duration) func(map[string]string, string) {
	return func(h map[string]string, body string) { resignAt(ts(off))(h, body) }
}

func resignAt(at string) func(map[string]string, string) {
	return func(h map[string]string, body string) {
		for name := range h {
			if strings.HasSuffix(name, "-Timestamp") {
				h[name] = at
			}
		}
		for name, value := range h {
			if strings.HasSuffix(name, "-Signature") {
				prefix := value[:len(value)-64]
				h[name] = prefix + hexMAC(testSecret, at+"."+body)
			}
		}
	}
}

func upper(name string) func(map[string]string, string) {
	return func(h map[string]string, _ string) {
		digits := h[name][len(h[name])-64:]
		h[name] = strings.TrimSuffix(h[name], digits) + strings.ToUpper(digits)
	}
}

func prefix(name string) func(map[string]string, string) {
	return func(h map[string]string, _ string) { h[name] = "sha256=" + h[name] }
}

func shorten(name string) func(map[string]string, string) {
	return func(h map[string]string, _ string) { h[name] = h[name][:len(h[name])-1] }
}

func without(name string) func(map[string]string, string) {
	return func(h map[string]string, _ string) { delete(h, name) }
}

func empty(name string) func(map[string]string, string) {
	return func(h map[string]string, _ string) { h[name] = "" }
}
