package profile

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// node is a Node process that answers each line, the base64 of a body, with
// the base64 of JSON.stringify(JSON.parse(body)).
type node struct {
	in  io.Writer
	out *bufio.Reader
}

const nodeLoop = `
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  let out;
  try { out = JSON.stringify(JSON.parse(Buffer.from(line, "base64").toString("utf8"))); } catch (e) { out = "error: " + e; }
  process.stdout.write(Buffer.from(out, "utf8").toString("base64") + "\n");
});
`

func startNode(t *testing.T) *node {
	t.Helper()
	cmd := exec.Command("node", "-e", nodeLoop)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting node, which comes with npm: %v", err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	return &node{in, bufio.NewReaderSize(out, 1<<20)}
}

// stringify is JSON.stringify(JSON.parse(body)).
func (n *node) stringify(t rapid.TB, body []byte) string {
	t.Helper()
	if _, err := io.WriteString(n.in, base64.StdEncoding.EncodeToString(body)+"\n"); err != nil {
		t.Fatalf("writing to node: %v", err)
	}
	line, err := n.out.ReadString('\n')
	if err != nil {
		t.Fatalf("reading from node: %v", err)
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// published draws JSON as any publisher may write it: with white space, needless
// escapes, and numbers in all spellings.
type published struct{ t *rapid.T }

func (p published) pick(name string, from ...string) string {
	return rapid.SampledFrom(from).Draw(p.t, name)
}

func (p published) space() string { return p.pick("space", "", "", "", " ", "\n", "\t\r\n ") }

func (p published) value(depth int) string {
	kind := rapid.IntRange(0, 7).Draw(p.t, "kind")
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0, 1:
		return p.text(p.units())
	case 2, 3:
		return p.number()
	case 4:
		return p.pick("word", "true", "false", "null")
	case 5:
		var items []string
		for range rapid.IntRange(0, 4).Draw(p.t, "items") {
			items = append(items, p.space()+p.value(depth-1)+p.space())
		}
		return "[" + strings.Join(items, ",") + "]"
	default:
		return p.object(depth)
	}
}

func (p published) object(depth int) string {
	var members []string
	seen := map[string]bool{}
	for range rapid.IntRange(0, 20).Draw(p.t, "members") {
		key := utf16.Encode([]rune(p.pick("key", "0", "1", "2", "10", "9", "007", "00", "4294967293", "4294967294", "4294967295", "4294967296", "99999999999",
			"-1", "-0", "1.5", "1e3", " 1", "", "a", "b", "__proto__", "constructor", "toString", "length", "é", "\u2028", "type", "😀")))
		if rapid.Bool().Draw(p.t, "any key") {
			key = p.units()
		}
		if id := fmt.Sprint(key); !seen[id] {
			seen[id] = true
			members = append(members, p.space()+p.text(key)+p.space()+":"+p.space()+p.value(depth-1)+p.space())
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// units are a JavaScript string: UTF-16, with surrogates that stand alone.
func (p published) units() []uint16 {
	var out []uint16
	for range rapid.IntRange(0, 6).Draw(p.t, "length") {
		switch rapid.IntRange(0, 3).Draw(p.t, "char") {
		case 0:
			out = append(out, rapid.Uint16Range(0, 0x7f).Draw(p.t, "ascii"))
		case 1:
			out = append(out, rapid.Uint16().Draw(p.t, "unit"))
		case 2:
			out = append(out, rapid.SampledFrom([]uint16{'"', '\\', '/', '<', '>', '&', 0x7f, 0x85, 0xa0, 0x2028, 0x2029, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfeff, 0xfffd, 0xffff}).Draw(p.t, "special"))
		default:
			out = append(out, 0xd83d, 0xde00)
		}
	}
	return out
}

// text writes a string's units, each of them escaped or raw as it comes.
func (p published) text(units []uint16) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(units); i++ {
		u := units[i]
		r := rune(u)
		wide := false
		if utf16.IsSurrogate(r) && i+1 < len(units) {
			if pair := utf16.DecodeRune(r, rune(units[i+1])); pair != utf8.RuneError {
				r, wide = pair, true
			}
		}
		must := u < ' ' || u == '"' || u == '\\' || utf16.IsSurrogate(rune(u)) && !wide
		if must || rapid.IntRange(0, 3).Draw(p.t, "escape") == 0 {
			if short := strings.IndexRune("\"\\/\b\f\n\r\t", rune(u)); short >= 0 && rapid.Bool().Draw(p.t, "short") {
				b.WriteByte('\\')
				b.WriteByte(`"\/bfnrt`[short])
				continue
			}
			fmt.Fprintf(&b, p.pick("case", `\u%04x`, `\u%04X`), u)
			continue
		}
		b.WriteRune(r)
		if wide {
			i++
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (p published) number() string {
	switch rapid.IntRange(0, 3).Draw(p.t, "spelling") {
	case 0:
		return strconv.FormatInt(rapid.Int64Range(-maxExact, maxExact).Draw(p.t, "integer"), 10)
	case 1:
		return p.pick("number", "0", "-0", "-0.0", "0e5", "25.0", "1e3", "1E3", "1e+3", "1e21", "1e20", "123456789012345680000", "1e-7", "0.0000001", "0.000001", "5e-324", "1.7976931348623157e308",
			"9007199254740992", "-9007199254740992", "18446744073709551616", "1e23", "100000000000000000000000", "0.1e1", "1e0000000000000000000000000022", "0.30000000000000004", "1.0000000000000000000000000001",
			"2.2250738585072014e-308", "4.9406564584124654e-324", "100000000000000000000", "1000000000000000000000", "0.00001234", "0.00000001234", "-1.5e-9", "9.5E+22")
	}
	x := math.Float64frombits(rapid.Uint64().Draw(p.t, "double"))
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "0"
	}
	if rapid.Bool().Draw(p.t, "plain") {
		x = math.Mod(x, 1e6)
	}
	precision := -1
	if math.Abs(x) < maxExact && x != 0 && math.Abs(x) > 1e-300 && rapid.Bool().Draw(p.t, "long") {
		precision = 25
	}
	return strconv.FormatFloat(x, p.pick("format", "e", "E", "f")[0], precision, 64)
}

// TestJavaScriptFormIsNodes: over thousands of documents, what we send is what
// Node's own JSON.parse and JSON.stringify make of what was published, and they
// give it back unchanged.
func TestJavaScriptFormIsNodes(t *testing.T) {
	n := startNode(t)
	documents := 0
	rapid.Check(t, func(t *rapid.T) {
		for range 50 {
			p := published{t}
			body := []byte(p.space() + p.value(4) + p.space())
			got, err := javaScript(body, maxDepth)
			if err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if want := n.stringify(t, body); string(got) != want {
				t.Fatalf("published %s\n we send %s\n JavaScript writes %s", body, got, want)
			}
			if again := n.stringify(t, got); string(got) != again {
				t.Fatalf("we send %s\n JavaScript gives back %s", got, again)
			}
			documents++
		}
	})
	t.Logf("%d documents", documents)
	if documents < 2000 {
		t.Errorf("only %d documents", documents)
	}
}

func TestJavaScriptForm(t *testing.T) {
	for in, want := range map[string]string{
		" { \"b\" : [ 1 , 2 ] ,\n\"a\":{ } , \"c\" : [ ] } \n":         `{"b":[1,2],"a":{},"c":[]}`,
		`{"a":"\u003c\u003E\u0026\/\u2028\u00e9\u007f"}`:               "{\"a\":\"<>&/\u2028é\x7f\"}",
		`"\u0008\u000C\u000a\u000d\u0009\u001F\u0000\b\f\n\r\t\\\""`:   `"\b\f\n\r\t\u001f\u0000\b\f\n\r\t\\\""`,
		`["\uD83D\uDE00","\uD800","\udc00\ud800","\ud83dx"]`:           `["😀","\ud800","\udc00\ud800","\ud83dx"]`,
		`[25.0,1e21,0.0000001,-0,1e3,18446744073709551616,12e-1]`:      `[25,1e+21,1e-7,0,1000,18446744073709552000,1.2]`,
		`{"b":1,"10":{"z":0,"1":0},"2":2,"a":3,"01":4,"4294967295":5}`: `{"2":2,"10":{"1":0,"z":0},"b":1,"a":3,"01":4,"4294967295":5}`,
		`{"__proto__":{"__proto__":1},"constructor":2}`:                `{"__proto__":{"__proto__":1},"constructor":2}`,
	} {
		got, err := javaScript([]byte(in), maxDepth)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n got %s\nwant %s", in, err, got, want)
		}
	}
}

// TestJavaScriptFormRefuses what would change its meaning, with the reason.
func TestJavaScriptFormRefuses(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"k%d":0,`, i)
	}
	for in, want := range map[string]string{
		`{"a":1,"a":1}`:                    `key "a" twice`,
		`{"x":[{"a":1,"b":2,"\u0061":3}]}`: `key "a" twice`,
		"{" + many.String() + `"k7":1}`:    `key "k7" twice`,
		`{"a":9007199254740993}`:           "9007199254740993, which JavaScript would read as 9007199254740992",
		`{"a":12345678901234567890}`:       "would read as 12345678901234567000",
		`[9007199254740993.0]`:             "would read as",
		`[9007199254740993e0]`:             "would read as",
		`[123456789012345678901e5]`:        "would read as",
		`[1e400]`:                          "too large",
		`[-1e400]`:                         "too large",
		`[1e-400]`:                         "too small",
		"{\"a\":\"\xff\"}":                 "UTF-8",
		"{\"\xed\xa0\x80\":1}":             "UTF-8", // a surrogate is no character
		"[\"\xc3":                          "UTF-8",
		strings.Repeat("[", 501) + strings.Repeat("]", 501): "501 levels",
		``: "not valid JSON", `{`: "not valid JSON", `{"a"}`: "not valid JSON", `{a:1}`: "not valid JSON", `[1,]`: "not valid JSON", `{"a":1,}`: "not valid JSON",
		`01`: "not valid JSON", `1.`: "not valid JSON", `.5`: "not valid JSON", `+1`: "not valid JSON", `1e`: "not valid JSON", `-`: "not valid JSON", `nul`: "not valid JSON",
		`"\x"`: "not valid JSON", `"\u12"`: "not valid JSON", "\"\n\"": "not valid JSON", `"a`: "not valid JSON", `1 2`: "not valid JSON", `[1}`: "not valid JSON", "1\x00": "not valid JSON",
	} {
		if want == "501 levels" {
			want = "more than 500 levels"
		}
		got, err := javaScript([]byte(in), maxDepth)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %s, %v; want %q", in, got, err, want)
		}
	}
}

// FuzzJavaScriptForm: whatever comes, the form is taken or refused; what is
// taken is valid, means the same, and is its own form.
func FuzzJavaScriptForm(f *testing.F) {
	for _, s := range []string{`{"b":1,"2":[25.0,1e21,-0],"1":"\ud83d\ude00\ud800\u003c"}`, `[9007199254740993]`, `{"a":1,"a":2}`, "\"\xff\"", ` [ ] `, `1e-400`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := javaScript(src, maxDepth)
		if err != nil {
			return
		}
		if !json.Valid(src) || !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("%q became %q", src, got)
		}
		if again, err := javaScript(got, maxDepth); err != nil || !bytes.Equal(got, again) {
			t.Fatalf("%q became %q, then %q, %v", src, got, again, err)
		}
		if !reflect.DeepEqual(decoded(t, src), decoded(t, got)) {
			t.Fatalf("%q means another than %q", src, got)
		}
	})
}

func decoded(t *testing.T, src []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(src, &v); err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return v
}

// FuzzASCIIForm: ASCII bytes only, the same meaning, refused only for invalid
// UTF-8.
func FuzzASCIIForm(f *testing.F) {
	for _, s := range []string{`{"a":"é😀\u00E9"}`, "\"\xff\"", "\"\u2028\x7f\"", ` [25.0, "ü"] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if !json.Valid(src) {
			return
		}
		got, err := ascii(src)
		if (err != nil) == utf8.Valid(src) {
			t.Fatalf("%q: %v", src, err)
		}
		if err != nil {
			return
		}
		if bytes.ContainsFunc(got, func(r rune) bool { return r >= utf8.RuneSelf }) || !reflect.DeepEqual(decoded(t, src), decoded(t, got)) {
			t.Fatalf("%q became %q", src, got)
		}
	})
}

func TestASCIIForm(t *testing.T) {
	for in, want := range map[string]string{
		"{ \"n\" : 25.0 , \"a\":\"\\u00E9é\u2028😀\x7f\" }": "{ \"n\" : 25.0 , \"a\":\"\\u00E9\\u00e9\\u2028\\ud83d\\ude00\x7f\" }",
		`{"é":1}`:        `{"\u00e9":1}`,
		"\"\U0010ffff\"": `"\udbff\udfff"`,
		`{"a":1}`:        `{"a":1}`,
	} {
		if got, err := ascii([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: %v\n got %s\nwant %s", in, err, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := published{t}
		body := []byte(p.value(3))
		got, err := ascii(body)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(body, &a) != nil || json.Unmarshal(got, &b) != nil || !reflect.DeepEqual(a, b) || bytes.ContainsFunc(got, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("%s became %s", body, got)
		}
	})
}
