package endpoint_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
)

// TestSecretsStayInside plants secrets everywhere a client can put one and
// looks for them, and for every secret that was made, in all that leaves.
func TestSecretsStayInside(t *testing.T) {
	l := newLoop(t, nil)
	var secrets []string
	shown := map[string]int{} // how often an answer may show a secret
	plant := func(s string, times int) string {
		secrets = append(secrets, s)
		shown[s] = times
		return s
	}
	var answers []string
	call := func(key, method, path, body string) reply {
		r := l.call(key, method, path, body)
		answers = append(answers, r.text+fmt.Sprint(r.header))
		return r
	}
	call(rootKey, "POST", "/v1/tenants", `{"id":"acme"}`).is(201)
	call(rootKey, "POST", "/v1/tenants", `{"id":"bank","profile":"smartkyc","secret":"`+plant("planted-api-secret", 0)+`"}`).is(201)
	first := call(rootKey, "POST", "/v1/tenants/acme/keys", "").is(201)
	key := plant(first.str("key"), 1)
	plant(first.str("secret"), 1)
	rotated := call(rootKey, "POST", "/v1/tenants/acme/rotate", "").is(200)
	plant(rotated.str("key"), 1)
	plant(rotated.str("secret"), 1)

	given := plant("whsec_"+base64.StdEncoding.EncodeToString([]byte("planted-secret-of-32-bytes-here!")), 0)
	value := plant("planted-header-value", 0)
	a := call(key, "POST", "/v1/webhooks", `{`+aURL+`,"secret":"`+given+`","headers":{"X-Auth":"`+value+`"}}`).is(201)
	b := call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	plant(b.str("secret"), 1)
	plant(call(key, "POST", "/v1/webhooks/"+b.str("id")+"/rotate-secret", "").is(200).str("secret"), 1)
	call(key, "PATCH", "/v1/webhooks/"+a.str("id"), `{"headers":{"X-Auth":"`+plant("planted-second-value", 0)+`"}}`).is(200)
	call(key, "POST", "/v1/webhooks", `{`+aURL+`,"secret":"`+plant("planted-bad-secret", 0)+`"}`).is(422)
	call(key, "POST", "/v1/webhooks", `{`+aURL+`,"secret":["`+plant("planted-in-a-list", 0)+`"]}`).is(422)
	call(key, "POST", "/v1/webhooks", `{`+aURL+`,"headers":{"Host":"`+plant("planted-reserved", 0)+`"}}`).is(422)
	call(key, "POST", "/v1/webhooks", `{`+aURL+`,"headers":{"X-A":"`+plant("planted-control", 0)+`\r\n"}}`).is(422)
	call(key, "POST", "/v1/webhooks", `{`+aURL+`,"headers":{"X-A":{"v":"`+plant("planted-nested", 0)+`"}}}`).is(422)
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/" + a.str("id"), "/v1/webhooks?api_key=" + key} {
		call(key, "GET", path, "").is(200)
	}
	for _, path := range []string{"/v1/tenants", "/v1/tenants/acme", "/v1/tenants/acme/keys", "/openapi.json"} {
		call(rootKey, "GET", path, "").is(200)
	}
	call(key, "POST", "/v1/webhooks/test", `{"webhook_id":"`+a.str("id")+`"}`).is(202)
	target, _ := l.registry.Target(a.str("id"))
	printed := fmt.Sprintf("%v %+v %#v %s", target, target, target, target)
	encodedTarget, err := json.Marshal(target.LogValue().String())
	if err != nil {
		t.Fatal(err)
	}

	var topics strings.Builder
	for _, rec := range l.records {
		fmt.Fprintf(&topics, "%s %s %v\n", rec.Key, rec.Value, rec.Headers)
	}
	fmt.Fprintf(&topics, "%+v %+v", l.notices, l.events)
	for _, s := range secrets {
		if s == "" {
			t.Fatal("a secret was not shown where it was made")
		}
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))} {
			for place, text := range map[string]string{"records": topics.String(), "log": l.log.String(), "target": printed + string(encodedTarget)} {
				if strings.Contains(text, form) {
					t.Errorf("%.16s… is in the %s", s, place)
				}
			}
		}
		if n := strings.Count(strings.Join(answers, "\n"), s); n != shown[s] {
			t.Errorf("%.16s… is in the answers %d times, want %d", s, n, shown[s])
		}
	}
}

func TestBoxesCannotBeSwapped(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	a := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"headers":{"X-A":"a","X-B":"b"}}`).is(201).str("id")
	b := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	rows := map[string]*schemas.Endpoint{}
	for i := range l.records {
		if rec := &l.records[i]; rec.Topic == l.topology.EndpointsTopic() {
			row := &schemas.Endpoint{}
			if err := schemas.ParseRow(rec, row); err != nil {
				t.Fatal(err)
			}
			rows[row.ID] = row
		}
	}
	apply := func(row schemas.Endpoint) endpoint.Target {
		rec, err := row.Record(l.topology)
		if err != nil {
			t.Fatal(err)
		}
		l.registry.Apply(&rec)
		target, _ := l.registry.Target(row.ID)
		return target
	}
	if target := apply(*rows[a]); target.Fault != "" || len(target.Secrets) != 1 {
		t.Fatalf("untouched: %q", target.Fault)
	}
	stolen := *rows[b]
	stolen.Secrets = rows[a].Secrets
	if target := apply(stolen); target.Fault == "" || target.Secrets != nil {
		t.Error("a box from another row opens")
	}
	crossed := *rows[a]
	crossed.Headers = []schemas.CustomHeader{{Name: "X-A", Value: rows[a].Headers[1].Value}}
	if target := apply(crossed); target.Fault == "" || target.Secrets != nil || target.Headers != nil {
		t.Error("a box of another header opens")
	}
	moved := *rows[a]
	moved.Headers = []schemas.CustomHeader{{Name: "X-A", Value: rows[a].Secrets[0]}}
	if target := apply(moved); target.Fault == "" {
		t.Error("a secret's box opens as a header")
	}
}

func TestKeyring(t *testing.T) {
	raw := strings.Repeat("k", endpoint.MasterKeyBytes)
	inHex, inBase64 := hex.EncodeToString([]byte(raw)), base64.StdEncoding.EncodeToString([]byte(raw))
	for _, text := range []string{inHex, inBase64, strings.TrimRight(inBase64, "="), " " + inHex + " ", endpoint.NewMasterKey() + "," + inHex} {
		if _, err := endpoint.ParseKeyring(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", ",", inHex + ",", "abc", inHex[2:], inHex + "," + inBase64, raw} {
		_, err := endpoint.ParseKeyring(text)
		if err == nil {
			t.Errorf("%q was taken", text)
		} else if len(text) > 10 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

// TestMasterKeyRotation: a new first key seals, the old one still opens; a node
// that has not got the key says so and signs nothing.
func TestMasterKeyRotation(t *testing.T) {
	oldKey, newKey := endpoint.NewMasterKey(), endpoint.NewMasterKey()
	with := func(text string) func(*endpoint.Config) {
		ring, err := endpoint.ParseKeyring(text)
		if err != nil {
			t.Fatal(err)
		}
		return func(c *endpoint.Config) { c.Keyring = ring }
	}
	before := newLoop(t, with(oldKey))
	key, _ := before.tenantKey("acme", "standard")
	made := before.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	move := func(to *loop) {
		to.records = append(to.records, before.records...)
		to.catchUp()
	}
	after := newLoop(t, with(newKey+","+oldKey))
	move(after)
	if target, _ := after.registry.Target(made.str("id")); len(target.Secrets) != 1 || string(target.Secrets[0]) != made.str("secret") {
		t.Errorf("fault %q", target.Fault)
	}
	strange := newLoop(t, with(newKey))
	move(strange)
	if target, ok := strange.registry.Target(made.str("id")); !ok || target.Secrets != nil || !strings.Contains(target.Fault, "not configured") {
		t.Errorf("fault %q", target.Fault)
	}
	if n := strings.Count(strange.log.String(), "master key that is not configured"); n != 1 {
		t.Errorf("%d log lines on the missing key, want 1", n)
	}
}

// TestEveryProfileTakesTheAPISecret: callback endpoints of any profile sign
// with it.
func TestEveryProfileTakesTheAPISecret(t *testing.T) {
	l := newLoop(t, nil)
	_, secret := l.tenantKey("acme", "standard")
	set := builtin(t)
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		if err := p.CheckSecret(secret); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
