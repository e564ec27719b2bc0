// Package pelton is the SDK for plugins in Go: what all worlds share.
//
// A plugin is a struct for the fields you want, a struct for what you make of them, and a method between the two. The packages
// transformer, aggregator, keyed, stateful and enricher each hold one world; README.md shows each.
//
// The rule: a plugin's author sees rows and ordinary Go values, never offsets; and nothing outside of the standard library is needed.
// Left to others: how bytes cross the boundary (internal/wire), what the host offers (internal/host).
package pelton

import (
	"errors"
	"fmt"
	"time"
)

// Info is what a plugin says of itself beside what its types say.
type Info struct {
	// Name of the plugin; needed.
	Name string
	// Version of the plugin; "0.1.0" when it is empty.
	Version string
	// Doc says in a sentence what the plugin does.
	Doc string
	// Key lists the fields of the step's `key:` in order, for plugins that look into it. Without it the key is taken as bytes.
	Key []Field
	// StateVersion is the schema version of an accumulator or of a keyed state: raise it when its type changes. 1 when it is 0.
	StateVersion uint32
}

// Context is where an instance works.
type Context struct {
	// Config is the step's config as JSON.
	Config string
	// Job and Step are names in the job file.
	Job, Step string
	// Generation is the deployed version of the job.
	Generation uint64
	// Annotations are what later hosts tell; pass over names that you do not know.
	Annotations []Annotation
}

// Annotation is a name and a value. Names without a `/` are the interface's.
type Annotation struct{ Name, Value string }

// Rejection is an error that becomes a record error: the record goes where the step's `on_error` says, its neighbours go on.
type Rejection struct {
	Code, Message string
}

func (r *Rejection) Error() string { return r.Code + ": " + r.Message }

// Reject refuses the record at hand.
func Reject(code, format string, arguments ...any) error {
	if len(arguments) == 0 {
		return &Rejection{code, format}
	}
	return &Rejection{code, fmt.Sprintf(format, arguments...)}
}

// Failure is an error that fails the whole batch.
type Failure struct {
	Retry   bool
	Message string
}

func (f *Failure) Error() string { return f.Message }

// Fatal fails the whole batch: none of it can be done.
func Fatal(format string, arguments ...any) error {
	return &Failure{false, fmt.Sprintf(format, arguments...)}
}

// Retry fails the whole batch for now: the host backs off and calls again.
func Retry(format string, arguments ...any) error {
	return &Failure{true, fmt.Sprintf(format, arguments...)}
}

// Refused is the record error of an ordinary error: a Rejection as it is, any other under the code `error`. A Failure is none.
func Refused(err error) (*Rejection, *Failure) {
	var rejection *Rejection
	if errors.As(err, &rejection) {
		return rejection, nil
	}
	var failure *Failure
	if errors.As(err, &failure) {
		return nil, failure
	}
	return &Rejection{"error", err.Error()}, nil
}

// Call is what a call is told beside its records: the same again when the same batch is tried again.
type Call struct {
	NowMs int64
	Seed  uint64
	// WatermarkMs is how far event time has come; not Valid while there is no watermark.
	WatermarkMs Null[int64]
}

var current Call

// Begin notes what the call at hand was told. The packages of worlds and of tests call it.
func Begin(call Call) { current = call }

// Now is the batch's processing time. time.Now shows the same.
func Now() time.Time { return time.UnixMilli(current.NowMs).UTC() }

// Seed is where random numbers of this batch begin.
func Seed() uint64 { return current.Seed }

// Watermark is how far event time has come; false while there is no watermark.
func Watermark() (time.Time, bool) {
	return time.UnixMilli(current.WatermarkMs.V).UTC(), current.WatermarkMs.Valid
}
