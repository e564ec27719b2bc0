package main

import (
	"encoding/json"
	"strings"
	"testing"

	"pelton/peltontest"
)

const noon = `10.0.0.1 - ann [17/May/2026:12:00:00 +0200] "GET /a?b=c HTTP/1.1" 200 512 "https://example.com/" "curl/8.5"`

func TestALineIsFields(t *testing.T) {
	peltontest.Transformer(t, plugin, `{}`, row(noon), `{
		"server": "web-1", "time": 1779012000000000, "host": "10.0.0.1", "user": "ann", "method": "GET", "path": "/a?b=c", "protocol": "HTTP/1.1",
		"status": 200, "bytes": 512, "referrer": "https://example.com/", "agent": "curl/8.5"}`)
}

func row(line string) string {
	text, _ := json.Marshal(map[string]string{"log_stream": "web-1", "message": line})
	return string(text)
}

func TestWhatServersWrite(t *testing.T) {
	for name, change := range map[string]struct {
		old, new string
		holds    func(Request) bool
	}{
		"a dash is nothing":      {"ann", "-", func(r Request) bool { return !r.User.Valid }},
		"a name with a space":    {"ann", "ann b", func(r Request) bool { return r.User.V == "ann b" }},
		"no bytes":               {" 512 ", " - ", func(r Request) bool { return !r.Bytes.Valid }},
		"an end of line":         {"8.5\"", "8.5\"\r\n", func(r Request) bool { return r.Agent.V == "curl/8.5" }},
		"a quotation mark":       {"curl/", `\"c\" \\`, func(r Request) bool { return r.Agent.V == `"c" \8.5` }},
		"an address of six":      {"10.0.0.1", "2001:db8::7", func(r Request) bool { return r.Host == "2001:db8::7" }},
		"bytes that are no text": {"/a?b=c", `/\xc3\xa4\xff`, func(r Request) bool { return r.Path == "/ä\uFFFD" }},
		"no request at all":      {"GET /a?b=c HTTP/1.1", "-", func(r Request) bool { return !r.Method.Valid && r.Path == "-" }},
		"a handshake of TLS":     {"GET /a?b=c HTTP/1.1", `\x16\x03\x01`, func(r Request) bool { return !r.Method.Valid && r.Path == "\x16\x03\x01" }},
	} {
		request, err := parse(strings.Replace(noon, change.old, change.new, 1))
		if err != nil || !change.holds(request) {
			t.Errorf("%s: %+v, %v", name, request, err)
		}
	}
}

func TestWhatIsNoLine(t *testing.T) {
	for line, words := range map[string]string{
		"":                                "column 1: no ` ` behind the host",
		"Server started":                  "column 8: no ` ` behind the identity",
		strings.Replace(noon, "[", "", 1): "column 12: no ` [` behind the user",
		strings.Replace(noon, "17/May", "1/5", 1): "the time is `1/5/2026:12:00:00 +0200`, not such as",
		strings.Replace(noon, "\"GET", "GET", 1):  "column 45: the request does not begin with a quotation mark",
		strings.Replace(noon, " 200 ", " ok ", 1): "the status is `ok`, no number of three digits",
		strings.Replace(noon, " 512 ", " -1 ", 1): "the number of bytes is `-1`",
		noon[:len(noon)-1]:                        "column 98: the agent has no second quotation mark",
		noon[:len(noon)-11]:                       "no ` ` behind the referrer",
		noon + " 17":                              "column 108: there is more behind the agent",
	} {
		if _, err := parse(line); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: expected %q, not: %v", line, words, err)
		}
	}
}

func TestABadLineIsRejectedWithItsText(t *testing.T) {
	peltontest.Transformer(t, plugin, `{}`, row("out of\tmemory"),
		`{"_reject": "not_combined: column 5: no `+"` `"+` behind the identity, in: \"out of\\tmemory\""}`)
}

// Whatever comes in, nothing panics, and what is taken for a line has its parts.
func FuzzParse(f *testing.F) {
	f.Add(noon)
	f.Add(`- - - [] "" "\`)
	f.Fuzz(func(t *testing.T, line string) {
		if request, err := parse(line); err == nil && (request.Host == "" || request.Status < 100) {
			t.Errorf("%q: %+v", line, request)
		}
	})
}
