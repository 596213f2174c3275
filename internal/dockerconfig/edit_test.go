package dockerconfig

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// texts are config.json files with what they become when the context rdd is made the current one.
var texts = map[string]struct{ text, want string }{
	"unknown keys": {
		"{\n\t\"zebra\": {\"x\": [1, 2.50, 1e3]},\n\t\"auths\": {},\n\t\"currentContext\": \"old\",\n\t\"HttpHeaders\": {\"User-Agent\": \"me\"}\n}",
		"{\n\t\"zebra\": {\"x\": [1, 2.50, 1e3]},\n\t\"auths\": {},\n\t\"currentContext\": \"rdd\",\n\t\"HttpHeaders\": {\"User-Agent\": \"me\"}\n}",
	},
	"no current context": {
		"{\n\t\"auths\": {},\n\t\"credsStore\": \"pass\"\n}",
		"{\n\t\"auths\": {},\n\t\"credsStore\": \"pass\",\n\t\"currentContext\": \"rdd\"\n}",
	},
	"nested key": {
		`{"plugins": {"currentContext": "a"}, "list": [{"currentContext": "b"}], "currentContext": "c"}`,
		`{"plugins": {"currentContext": "a"}, "list": [{"currentContext": "b"}], "currentContext": "rdd"}`,
	},
	"nested key only": {
		`{"plugins": {"currentContext": "a"}}`,
		`{"plugins": {"currentContext": "a"},"currentContext": "rdd"}`,
	},
	"key in a string": {
		`{"a": "\"currentContext\": \"x\"", "b}": "{", "currentContext" : "x"}`,
		`{"a": "\"currentContext\": \"x\"", "b}": "{", "currentContext" : "rdd"}`,
	},
	"escaped key": {
		`{"\u0063urrentContext": "ol\u0064", "a": 1}`,
		`{"\u0063urrentContext": "rdd", "a": 1}`,
	},
	"other case": {
		`{"CURRENTcontext": "old"}`,
		`{"CURRENTcontext": "rdd"}`,
	},
	"byte order mark": {
		"\ufeff{\"currentContext\": \"old\"}\n",
		"\ufeff{\"currentContext\": \"rdd\"}\n",
	},
	"byte order mark and nothing": {
		"\ufeff{}",
		"\ufeff{\n\t\"currentContext\": \"rdd\"\n}",
	},
	"CRLF": {
		"{\r\n  \"auths\": {}\r\n}\r\n",
		"{\r\n  \"auths\": {},\r\n  \"currentContext\": \"rdd\"\r\n}\r\n",
	},
	"CRLF and nothing": {
		"{}\r\n",
		"{\r\n\t\"currentContext\": \"rdd\"\r\n}\r\n",
	},
	"four spaces": {
		"{\n    \"a\" :  1\n}\n",
		"{\n    \"a\" :  1,\n    \"currentContext\" :  \"rdd\"\n}\n",
	},
	"one line": {
		`{"a":1,"b":2}`,
		`{"a":1,"b":2,"currentContext":"rdd"}`,
	},
	"comma first": {
		"{ \"a\": 1\n, \"b\": 2\n}",
		"{ \"a\": 1\n, \"b\": 2\n, \"currentContext\": \"rdd\"\n}",
	},
	"no final newline": {
		`{"currentContext":""}`,
		`{"currentContext":"rdd"}`,
	},
	"duplicate keys": {
		`{"currentContext": "first", "a": 1, "a": 2, "currentContext": "second"}`,
		`{"currentContext": "first", "a": 1, "a": 2, "currentContext": "rdd"}`,
	},
	"null": {
		`{"currentContext": null, "a": 1}`,
		`{"currentContext": "rdd", "a": 1}`,
	},
	"default": {
		`{"currentContext": "default"}`,
		`{"currentContext": "rdd"}`,
	},
	"not UTF-8": {
		"{\"a\": \"\xff\xfe\", \"currentContext\": \"old\"}",
		"{\"a\": \"\xff\xfe\", \"currentContext\": \"rdd\"}",
	},
	"nothing else": {
		"{}",
		"{\n\t\"currentContext\": \"rdd\"\n}",
	},
	"spaces around": {
		"\n\n  { \"a\" : 1 }  \n",
		"\n\n  { \"a\" : 1, \"currentContext\" : \"rdd\" }  \n",
	},
	"empty":         {"", "{\n\t\"currentContext\": \"rdd\"\n}"},
	"only a line":   {"\n", "{\n\t\"currentContext\": \"rdd\"\n}\n"},
	"large":         {`{"a": "` + strings.Repeat("x", 500_000) + `"}`, `{"a": "` + strings.Repeat("x", 500_000) + `","currentContext": "rdd"}`},
	"is it already": {"{\"currentContext\":   \"\\u0072dd\"}", "{\"currentContext\":   \"rdd\"}"},
}

// refused are config.json files that must not change, with a part of the reason.
var refused = map[string]struct{ text, why string }{
	"broken":          {`{"currentContext": "old"`, "not valid JSON"},
	"comments":        {"{\n// mine\n\"currentContext\": \"old\"}", "not valid JSON"},
	"final comma":     {`{"currentContext": "old",}`, "not valid JSON"},
	"two values":      {`{"currentContext": "old"} {}`, "not valid JSON"},
	"array":           {`[{"currentContext": "old"}]`, "not a JSON object"},
	"null":            {"null", "not a JSON object"},
	"string":          {`"currentContext"`, "not a JSON object"},
	"number as value": {`{"currentContext": 3}`, "not a string"},
	"UTF-16":          {"\xff\xfe{\x00}\x00", "not valid JSON"},
	"deep":            {strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), "not valid JSON"},
}

func TestOnlyTheCurrentContextChanges(t *testing.T) {
	for name, tc := range texts {
		d, err := parse([]byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := d.with(`"rdd"`)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n%q; want\n%q", name, err, clip(got), clip([]byte(tc.want)))
		}
		back, err := parse(got)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		restored, err := back.with(d.raw())
		if again := string(restored); err != nil || again != tc.text && strings.Trim(again, "{}"+space+bom) != strings.Trim(tc.text, "{}"+space+bom) {
			t.Errorf("%s, back again: %v\n%q; want\n%q", name, err, clip(restored), clip([]byte(tc.text)))
		}
	}
}

func TestBrokenTextIsRefused(t *testing.T) {
	for name, tc := range refused {
		if _, err := parse([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: %v; want %s", name, err, tc.why)
		}
	}
}

func TestRemovedMemberLeavesNoTrace(t *testing.T) {
	for text, want := range map[string]string{
		`{"currentContext": "rdd", "a": 1}`:                               `{"a": 1}`,
		`{"a": 1, "currentContext": "rdd", "b": 2}`:                       `{"a": 1, "b": 2}`,
		`{"a": 1, "currentContext": "rdd"}`:                               `{"a": 1}`,
		`{"currentContext": "x", "currentContext": "rdd"}`:                `{}`,
		`{"currentContext": "x", "a": 1, "currentContext": "rdd"}`:        `{"a": 1}`,
		`{"a": 1, "currentContext": "x", "currentContext": "rdd"}`:        `{"a": 1}`,
		`{"a": 1, "currentContext": "x", "currentContext": "y", "b": 2}`:  `{"a": 1, "b": 2}`,
		"{\n\t\"currentContext\": \"rdd\"\n}\n":                           "{}\n",
		"{\n\t\"a\": 1,\n\t\"currentContext\": \"rdd\",\n\t\"b\": 2\n}\n": "{\n\t\"a\": 1,\n\t\"b\": 2\n}\n",
	} {
		d, err := parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.with(""); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// clip shortens a text for a message.
func clip(text []byte) string { return string(text[:min(len(text), 300)]) }

func FuzzEditChangesNothingElse(f *testing.F) {
	for _, tc := range texts {
		if len(tc.text) < 1000 {
			f.Add([]byte(tc.text), "rdd")
		}
	}
	for _, tc := range refused {
		if len(tc.text) < 1000 {
			f.Add([]byte(tc.text), "")
		}
	}
	f.Fuzz(checkEdit)
}

// checkEdit checks that a change of the current context in a text changes nothing else.
func checkEdit(t *testing.T, text []byte, name string) {
	original := bytes.Clone(text)
	d, err := parse(text)
	if err != nil {
		return
	}
	raw := ""
	if name != "" {
		b, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(b)
	}
	changed, err := d.with(raw)
	if !bytes.Equal(original, text) {
		t.Fatal("the original was changed")
	}
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	before, after := decode(t, text), decode(t, changed)
	if _, there := pick(after); there != (raw != "") {
		t.Fatalf("%q: %q", text, changed)
	}
	if raw != "" {
		var want string
		_ = json.Unmarshal([]byte(raw), &want)
		if got := dockerReads(bytes.TrimPrefix(changed, []byte(bom))); got != want {
			t.Fatalf("%q: docker reads %q in %q; want %q", text, got, changed, want)
		}
	}
	drop(before)
	drop(after)
	if !maps.EqualFunc(before, after, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Fatalf("%q became %q", text, changed)
	}
}

func TestEditOfRandomTexts(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	some := func(from ...string) string { return from[random.IntN(len(from))] }
	gap := func() string { return some("", "", " ", "\n\t", "\r\n  ", " \t ") }
	for range 5_000 {
		var text strings.Builder
		text.WriteString(some("", "", bom) + gap() + "{")
		for n := range random.IntN(6) {
			if n > 0 {
				text.WriteString(gap() + ",")
			}
			name := some("currentContext", "currentContext", "CurrentContext", `currentConte\u0078t`, "auths", "a}", `q\"`, "currentContexts", "")
			value := some(`"x"`, "null", `""`, `"a\"b,}"`)
			if !strings.Contains(name, "Conte") || name == "currentContexts" {
				value = some(value, "1.50", "true", `{"currentContext":"in"}`, `[ {"currentContext" : 1} , "}" ]`, "{}", "[ ]")
			}
			text.WriteString(gap() + `"` + name + `"` + gap() + ":" + gap() + value)
		}
		text.WriteString(gap() + "}" + gap())
		if _, err := parse([]byte(text.String())); err != nil {
			t.Fatalf("%q: %v", text.String(), err)
		}
		checkEdit(t, []byte(text.String()), some("", "rdd", `we"ird`))
	}
}

func decode(t *testing.T, text []byte) map[string]json.RawMessage {
	t.Helper()
	text = bytes.TrimPrefix(text, []byte(bom))
	m := map[string]json.RawMessage{}
	if len(bytes.Trim(text, space)) == 0 {
		return m
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}

func pick(m map[string]json.RawMessage) (value json.RawMessage, there bool) {
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

func drop(m map[string]json.RawMessage) {
	maps.DeleteFunc(m, func(k string, _ json.RawMessage) bool { return strings.EqualFold(k, key) })
}
