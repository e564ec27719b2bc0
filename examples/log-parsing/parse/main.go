// Lines of a web server's access log, in the combined format, as fields. A line that is not of that format is rejected, and no other.
//
// Left to others: where lines come from (`unpack`), the format itself (`combined.go`).
package main

import (
	"pelton"
	"pelton/transformer"
)

// Event is what is read of a row.
type Event struct {
	LogStream string
	Message   string
}

// Request is what is made of it. What a server writes as `-` is null.
type Request struct {
	Server   string
	Time     pelton.Timestamp
	Host     string
	User     pelton.Null[string]
	Method   pelton.Null[string]
	Path     string
	Protocol pelton.Null[string]
	Status   int32
	Bytes    pelton.Null[int64]
	Referrer pelton.Null[string]
	Agent    pelton.Null[string]
}

// Plugin has a field for its output.
type Plugin struct {
	Requests pelton.Output[Request]
}

// shown is how much of a bad line stands in the words of its dead letter.
const shown = 200

// Process is called for each row.
func (p *Plugin) Process(event *Event) error {
	request, err := parse(event.Message)
	if err != nil {
		line := event.Message
		if len(line) > shown {
			line = line[:shown] + "..."
		}
		return pelton.Reject("not_combined", "%v, in: %q", err, line)
	}
	request.Server = event.LogStream
	p.Requests.Emit(request)
	return nil
}

var plugin = transformer.New(pelton.Info{Name: "parse", Doc: "Lines of the combined log format as fields"}, &Plugin{})

func init() { transformer.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
