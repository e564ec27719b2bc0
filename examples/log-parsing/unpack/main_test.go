package main

import (
	"testing"

	"pelton/peltontest"
)

func TestEachEventIsARow(t *testing.T) {
	peltontest.Transformer(t, plugin, `{}`,
		`{"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s", "logEvents": [
			{"id": "1", "timestamp": 1000, "message": "a"}, {"id": "2", "timestamp": 2000, "message": ""}]}
		 {"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "t", "logEvents": []}
		 {"messageType": "CONTROL_MESSAGE", "logGroup": "", "logStream": "", "logEvents": [
			{"id": "", "timestamp": 1000, "message": "are you there"}]}`,
		`{"log_group": "g", "log_stream": "s", "at": 1000000, "message": "a"}
		 {"log_group": "g", "log_stream": "s", "at": 2000000, "message": ""}`)
}

func TestABadEnvelopeGivesNoRow(t *testing.T) {
	peltontest.Transformer(t, plugin, `{}`,
		`{"messageType": "NEWS", "logGroup": "g", "logStream": "s", "logEvents": []}
		 {"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s", "logEvents": [{"timestamp": 1, "message": "a"}, {"timestamp": 2}]}
		 {"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s", "logEvents": [{"timestamp": "noon", "message": "a"}]}`,
		"{\"_reject\": \"unknown_message: `messageType` is `NEWS`, not DATA_MESSAGE or CONTROL_MESSAGE\"}\n"+
			"{\"_reject\": \"bad_events: event 2 of 2 lacks `timestamp` or `message`\"}\n"+
			"{\"_reject\": \"bad_events: `logEvents` is no list of events: json: cannot unmarshal string into Go struct field "+
			"logEvent.timestamp of type int64\"}")
}
