//go:build wasip1

// Package host is what the host offers every plugin: log lines and metrics.
//
// The rule: one function a function of the interface, with Go's own types.
// Left to others: when to call them.
package host

import "unsafe"

//go:wasmimport pelton:plugin/log@0.1.0 enabled
func enabled() uint32

//go:wasmimport pelton:plugin/log@0.1.0 write
func write(level uint32, message unsafe.Pointer, length uint32, fields unsafe.Pointer, fieldsLength uint32)

//go:wasmimport pelton:plugin/metrics@0.1.0 counter-add
func counterAdd(name unsafe.Pointer, length uint32, delta uint64)

//go:wasmimport pelton:plugin/metrics@0.1.0 gauge-set
func gaugeSet(name unsafe.Pointer, length uint32, value float64)

//go:wasmimport pelton:plugin/metrics@0.1.0 histogram-record
func histogramRecord(name unsafe.Pointer, length uint32, values unsafe.Pointer, count uint32)

func at(text string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(text)) }

// Enabled is the least level that is wanted.
func Enabled() uint32 { return enabled() }

// Write writes a line.
func Write(level uint32, message, fields string) {
	write(level, at(message), uint32(len(message)), at(fields), uint32(len(fields)))
}

// Count raises a counter.
func Count(name string, by uint64) { counterAdd(at(name), uint32(len(name)), by) }

// Gauge sets a gauge.
func Gauge(name string, value float64) { gaugeSet(at(name), uint32(len(name)), value) }

// Histogram records values.
func Histogram(name string, values []float64) {
	histogramRecord(at(name), uint32(len(name)), unsafe.Pointer(unsafe.SliceData(values)), uint32(len(values)))
}
