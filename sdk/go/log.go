// Log lines and metrics.
//
// The rule: each crosses the boundary, so once a batch, not once a record; a line below the level that is wanted costs nothing.
// Left to others: the host's limits on both.

package pelton

import (
	"encoding/json"
	"fmt"

	"pelton/internal/host"
)

func write(level uint32, format string, arguments []any) {
	if level < host.Enabled() {
		return
	}
	text := format
	if len(arguments) > 0 {
		text = fmt.Sprintf(format, arguments...)
	}
	host.Write(level, text, "")
}

// Debugf writes a line for the author.
func Debugf(format string, arguments ...any) { write(1, format, arguments) }

// Infof writes a line for the operator.
func Infof(format string, arguments ...any) { write(2, format, arguments) }

// Warnf writes a line about something to look at.
func Warnf(format string, arguments ...any) { write(3, format, arguments) }

// Errorf writes a line about something lost or broken.
func Errorf(format string, arguments ...any) { write(4, format, arguments) }

// InfoWith writes a line with fields, a map or struct that becomes a JSON object.
func InfoWith(message string, fields any) {
	if host.Enabled() > 2 {
		return
	}
	text, err := json.Marshal(fields)
	if err != nil {
		text = []byte("{}")
	}
	host.Write(2, message, string(text))
}

// Count raises a counter.
func Count(name string, by uint64) { host.Count(name, by) }

// Gauge sets a gauge.
func Gauge(name string, value float64) { host.Gauge(name, value) }

// Histogram records values.
func Histogram(name string, values ...float64) { host.Histogram(name, values) }
