package e2e

// Data that breaks senders which re-encode JSON, and receivers that do.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// nastyMembers are members of an object. None stands where a receiver looks.
func nastyMembers() []string {
	return []string{
		// Printed prettily, with what encoders like to escape.
		"\"nasty\": {\n  \"10\": 1, \"2\": [25.0, 1e21, 0.0000001, -0, 1e3], \"emoji\": \"😀 \\ud83d\\ude00\",\n" +
			"\t\"html\": \"<a href='x'>&\\u003c</a>\", \"lines\": \"\u2028\\u2028\\/\", \"b\": {\"z\": 1, \"1\": 2, \"__proto__\": \"\\u0007\\u001F\"} }",
		`"numbers":[25.0,1e21,1E5,1e-7,-0,-0.0,0.1,123456789012345680000,1.7976931348623157e308,5e-324,4.35,100000000000000000000,1e23]`,
		"\"text\":[\"\\ud800\",\"\\udc00x\",\"\\u0000\\b\\f\\n\\r\\t\\u001f\x7f\\u007f\",\"\\/\",\"\\u00e9é\u2029\ufeff\",\"👩‍👩‍👧 नमस्ते ﷽\"]",
		`"10":1,"2":{"b":1,"4294967295":2,"4294967294":3,"02":4,"1":5},"-1":3,"01":4,"":5,"ключ":6`,
		`"deep":` + strings.Repeat(`{"9":0,"1":[`, 80) + strings.Repeat(`]}`, 80),
	}
}

// nastyBodies are data of a profile's first type, each with such a member, and
// the longest that the product's receivers take. Every one is of another
// subject, so that none looks like a repeat of another.
func nastyBodies(t *testing.T, p *profile.Profile) (eventType string, data []string) {
	t.Helper()
	e := p.Events()[0]
	open, ok := strings.CutSuffix(strings.TrimSpace(e.Sample), "}")
	if !ok {
		t.Fatalf("the first sample of %s is no object", p.Name())
	}
	subject := func() string { return strings.Replace(open, `"ses_51b"`, fmt.Sprintf(`"ses_nasty_%d"`, len(data)), 1) }
	for _, member := range nastyMembers() {
		data = append(data, " "+subject()+" ,\n "+member+"}\r\n")
	}
	return e.Type, append(data, longData(t, p, e.Type, subject()+`,"long":"`))
}

// longData fills a string up to the longest body that the profile sends, with
// characters of several bytes that packets may cut.
func longData(t *testing.T, p *profile.Profile, eventType, open string) string {
	t.Helper()
	length := func(fill string) int {
		d := schemas.Delivery{EventID: schemas.NewID(schemas.EventPrefix, [16]byte{}), EventType: eventType, Tenant: "of-" + p.Name(), Data: []byte(open + fill + `"}`)}
		body, err := p.Body(&d)
		if err != nil {
			t.Fatal(err)
		}
		return len(body)
	}
	most := p.MaxBody()
	if most == 0 {
		most = 200_000
	}
	room, width := most-length(""), length("€")-length("")
	fill := strings.Repeat("€", room/width) + strings.Repeat("x", room%width)
	if got := length(fill); got != most {
		t.Fatalf("%s: a body of %d bytes was to have %d", p.Name(), got, most)
	}
	return open + fill + `"}`
}
