//go:build !wasip1

// Package host, outside of WebAssembly: what a plugin says is kept for tests to look at.
//
// The rule: it behaves as the host does with everything wanted.
// Left to others: comparing (peltontest).
package host

// Line is a log line.
type Line struct {
	Level           uint32
	Message, Fields string
}

// What the plugin said and counted.
var (
	Lines      []Line
	Counters   = map[string]uint64{}
	Gauges     = map[string]float64{}
	Histograms = map[string][]float64{}
)

// Enabled is the least level that is wanted.
func Enabled() uint32 { return 0 }

// Write keeps a line.
func Write(level uint32, message, fields string) {
	Lines = append(Lines, Line{level, message, fields})
}

// Count raises a counter.
func Count(name string, by uint64) { Counters[name] += by }

// Gauge sets a gauge.
func Gauge(name string, value float64) { Gauges[name] = value }

// Histogram records values.
func Histogram(name string, values []float64) {
	Histograms[name] = append(Histograms[name], values...)
}
