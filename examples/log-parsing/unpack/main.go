// Log events out of what CloudWatch Logs sends to a subscribed stream: many events in one record, each a row here.
//
// The host has inflated the record already (`format: json` knows gzip by its first bytes), and gives the list of events as JSON.
package main

import (
	"encoding/json"

	"pelton"
	"pelton/transformer"
)

// Envelope is what is read of a record.
type Envelope struct {
	MessageType string      `pelton:"messageType"`
	LogGroup    string      `pelton:"logGroup"`
	LogStream   string      `pelton:"logStream"`
	LogEvents   pelton.JSON `pelton:"logEvents"`
}

// Event is one event of a log.
type Event struct {
	LogGroup  string
	LogStream string
	// When CloudWatch Logs has it that the event happened.
	At      pelton.Timestamp
	Message string
}

// logEvent is an event as it stands in the list. Pointers tell what is missing from what is empty.
type logEvent struct {
	Timestamp *int64  `json:"timestamp"` // milliseconds
	Message   *string `json:"message"`
}

// Plugin has a field for its output.
type Plugin struct {
	Events pelton.Output[Event]
}

// Process is called for each record.
func (p *Plugin) Process(envelope *Envelope) error {
	switch envelope.MessageType {
	case "DATA_MESSAGE":
	case "CONTROL_MESSAGE": // CloudWatch Logs asks whether the stream is there
		return nil
	default:
		return pelton.Reject("unknown_message", "`messageType` is `%s`, not DATA_MESSAGE or CONTROL_MESSAGE", envelope.MessageType)
	}
	var events []logEvent
	if err := json.Unmarshal([]byte(envelope.LogEvents), &events); err != nil {
		return pelton.Reject("bad_events", "`logEvents` is no list of events: %v", err)
	}
	for place, event := range events {
		if event.Timestamp == nil || event.Message == nil {
			// What was emitted for this record is taken back: it is all there, or none of it.
			return pelton.Reject("bad_events", "event %d of %d lacks `timestamp` or `message`", place+1, len(events))
		}
		p.Events.Emit(Event{
			LogGroup:  envelope.LogGroup,
			LogStream: envelope.LogStream,
			At:        pelton.Timestamp(*event.Timestamp * 1000),
			Message:   *event.Message,
		})
	}
	return nil
}

var plugin = transformer.New(pelton.Info{Name: "unpack", Doc: "Log events out of the envelopes of CloudWatch Logs"}, &Plugin{})

func init() { transformer.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
