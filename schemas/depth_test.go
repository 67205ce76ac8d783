package schemas

import (
	"errors"
	"strings"
	"testing"
)

// TestDeepNestingIsRefused: brackets by the megabyte, which end a process whose
// parser recurses through them, make an invalid event in every form.
func TestDeepNestingIsRefused(t *testing.T) {
	const deep = 8 << 20
	lists, objects := strings.Repeat("[", deep)+strings.Repeat("]", deep), strings.Repeat(`{"a":`, deep/5)+"1"+strings.Repeat("}", deep/5)
	raw := EventSource{Topic: "t", Format: FormatRaw, Type: "a.b"}
	structured := []Header{{"content-type", []byte("application/cloudevents+json")}}
	for name, c := range map[string]struct {
		source  EventSource
		headers []Header
		value   string
	}{
		"data of an envelope":         {EventSource{Topic: "t"}, nil, `{"type":"a.b","data":` + lists + `}`},
		"an unknown field":            {EventSource{Topic: "t"}, nil, `{"type":"a.b","data":1,"x":` + objects + `}`},
		"never closed":                {EventSource{Topic: "t"}, nil, `{"type":"a.b","data":` + lists[:deep]},
		"behind text with a quote":    {EventSource{Topic: "t"}, nil, `{"type":"a.b","y":"\\\"[","data":` + lists + `}`},
		"a structured CloudEvent":     {EventSource{Topic: "t"}, structured, `{"specversion":"1.0","id":"1","source":"s","type":"a.b","data":` + objects + `}`},
		"data in base64":              {EventSource{Topic: "t"}, structured, `{"specversion":"1.0","id":"1","source":"s","type":"a.b","data_base64":"` + strings.Repeat("W1tb", deep/4) + `"}`},
		"a binary CloudEvent":         {EventSource{Topic: "t"}, []Header{{"ce_type", []byte("a.b")}, {"ce_id", []byte("1")}}, lists},
		"a topic of data alone":       {raw, nil, objects},
		"one level too many, no more": {raw, nil, strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)},
	} {
		_, err := ParseEvent(c.source, &Record{Value: []byte(c.value), Headers: c.headers})
		var bad *InvalidEvent
		if !errors.As(err, &bad) || !strings.Contains(bad.Reason, "nested more than 1000 levels") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, value := range map[string]string{
		"as deep as may be":       strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		"brackets within text":    `"` + strings.Repeat(`[{\"`, MaxDepth) + `"`,
		"many, beside each other": "[" + strings.Repeat("[],", MaxDepth) + "{}]",
	} {
		if _, err := ParseEvent(raw, &Record{Value: []byte(value)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
