package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pelton"
)

// clock is how the time is written: 17/May/2026:10:05:03 +0200.
const clock = "02/Jan/2006:15:04:05 -0700"

// A line of the combined format:
//
//	HOST IDENT USER [TIME] "REQUEST" STATUS BYTES "REFERRER" "AGENT"
func parse(line string) (Request, error) {
	rest := &scanner{line: strings.TrimRight(line, "\r\n")}
	host := rest.until(" ", "the host")
	rest.until(" ", "the identity")
	// A user's name may have spaces in it.
	user := rest.until(" [", "the user")
	at := rest.until("] ", "the time")
	asked := rest.quoted("the request")
	rest.skip(" ", "the request")
	status := rest.until(" ", "the status")
	size := rest.word("the number of bytes")
	rest.skip(" ", "the number of bytes")
	referrer := rest.quoted("the referrer")
	rest.skip(" ", "the referrer")
	agent := rest.quoted("the agent")
	if rest.err == nil && rest.at != len(rest.line) {
		rest.fail("there is more behind the agent")
	}
	if rest.err != nil {
		return Request{}, rest.err
	}
	if host == "" {
		return Request{}, fmt.Errorf("there is no host")
	}
	when, err := time.Parse(clock, at)
	if err != nil {
		return Request{}, fmt.Errorf("the time is `%s`, not such as 17/May/2026:10:05:03 +0200", at)
	}
	code, err := strconv.Atoi(status)
	if err != nil || code < 100 || code > 999 {
		return Request{}, fmt.Errorf("the status is `%s`, no number of three digits", status)
	}
	request := Request{
		Time:     pelton.Timestamp(when.UnixMicro()),
		Host:     host,
		User:     orNull(user),
		Status:   int32(code),
		Referrer: orNull(referrer),
		Agent:    orNull(agent),
	}
	if size != "-" {
		bytes, err := strconv.ParseInt(size, 10, 64)
		if err != nil || bytes < 0 {
			return Request{}, fmt.Errorf("the number of bytes is `%s`", size)
		}
		request.Bytes = pelton.Some(bytes)
	}
	// A client may send anything in place of METHOD PATH PROTOCOL, or nothing: then all of it is the path.
	request.Path = asked
	if words := strings.Split(asked, " "); len(words) == 3 && strings.HasPrefix(words[2], "HTTP/") {
		request.Method, request.Path, request.Protocol = pelton.Some(words[0]), words[1], pelton.Some(words[2])
	}
	return request, nil
}

func orNull(text string) pelton.Null[string] {
	if text == "-" {
		return pelton.Null[string]{}
	}
	return pelton.Some(text)
}

// scanner goes through a line; after its first mistake it stands still.
type scanner struct {
	line string
	at   int
	err  error
}

func (s *scanner) fail(words string) {
	if s.err == nil {
		s.err = fmt.Errorf("column %d: %s", s.at+1, words)
	}
}

// until gives what stands before `end`, and goes behind it.
func (s *scanner) until(end, what string) string {
	if s.err != nil {
		return ""
	}
	length := strings.Index(s.line[s.at:], end)
	if length < 0 {
		s.fail(fmt.Sprintf("no `%s` behind %s", end, what))
		return ""
	}
	found := s.line[s.at : s.at+length]
	s.at += length + len(end)
	return found
}

// word gives what stands before the next space or the end, and stays there.
func (s *scanner) word(what string) string {
	if s.err != nil {
		return ""
	}
	length := strings.IndexByte(s.line[s.at:], ' ')
	if length < 0 {
		length = len(s.line) - s.at
	}
	if length == 0 {
		s.fail("there is nothing where " + what + " should be")
	}
	s.at += length
	return s.line[s.at-length : s.at]
}

func (s *scanner) skip(mark, before string) {
	if s.err != nil {
		return
	}
	if !strings.HasPrefix(s.line[s.at:], mark) {
		s.fail(fmt.Sprintf("no `%s` behind %s", mark, before))
		return
	}
	s.at += len(mark)
}

// quoted gives what stands between two quotation marks, with what the server escaped put back.
func (s *scanner) quoted(what string) string {
	if s.err != nil {
		return ""
	}
	if s.at >= len(s.line) || s.line[s.at] != '"' {
		s.fail(what + " does not begin with a quotation mark")
		return ""
	}
	var text []byte
	for at := s.at + 1; at < len(s.line); at++ {
		switch c := s.line[at]; {
		case c == '"':
			s.at = at + 1
			// Bytes that a client made up need not be UTF-8, but text must be.
			return strings.ToValidUTF8(string(text), "\uFFFD")
		case c == '\\' && at+1 < len(s.line):
			byte, length := escaped(s.line[at+1:])
			text = append(text, byte)
			at += length
		default:
			text = append(text, c)
		}
	}
	s.fail(what + " has no second quotation mark")
	return ""
}

// escaped gives the byte that was written behind a backslash, and how many characters that took.
func escaped(rest string) (byte, int) {
	switch rest[0] {
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'v':
		return '\v', 1
	case 'x':
		if len(rest) >= 3 {
			if code, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
				return byte(code), 3
			}
		}
	}
	return rest[0], 1
}
