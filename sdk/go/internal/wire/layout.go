// Package wire is the boundary: what the interface says in bytes.
//
// The rule: the records here have the fields of wit/*.wit in their order, a list as its address and length, a variant as its tag and room for its
// cases; Go lays them out as the component model does, because both align a field to its size. A test of the host compares every offset.
// Left to others: what the bytes mean (package pelton).
package wire

// List is a list or a text: where it lies, and its length.
type List struct{ At, Len uint32 }

// BytesColumn is `bytes-column`.
type BytesColumn struct{ Data, Offsets List }

// OptionalBytes is `optional-bytes`.
type OptionalBytes struct {
	Cells   BytesColumn
	Present List
}

// Column is `column`: a variant of values, and nulls. Data and Offsets are a list of numbers, or a column of bytes; Scale belongs to decimals.
type Column struct {
	Tag           uint8
	Data, Offsets List
	Scale         int32
	Null          List
}

// KeySet is `key-set`.
type KeySet struct {
	Bytes  BytesColumn
	Fields List
}

// Call is what stands in each of `batch`, `due-timers` and `closing`: `now-ms`, `seed` and `watermark-ms`, which is an option.
type Call struct {
	NowMs     int64
	Seed      uint64
	Watermark struct {
		Tag uint8
		Ms  int64
	}
}

// Batch is `batch`.
type Batch struct {
	Input, Count uint32
	Call         Call
	Keys         KeySet
	KeyIndex     List
	Shards       List
	ShardIndex   List
	Sequence     BytesColumn
	SubSequence  List
	PartitionKey BytesColumn
	EventUs      List
	ArrivalUs    List
	Operation    List
	Payload      BytesColumn
	Fields       List
}

// Emitted is `emitted`.
type Emitted struct {
	Output       uint32
	Source       List
	PartitionKey BytesColumn
	EventUs      List
	Operation    List
	Payload      BytesColumn
	Fields       List
}

// RecordError is `record-error`.
type RecordError struct {
	Index         uint32
	Code, Message List
}

// TimerOps is `timer-ops`.
type TimerOps struct {
	Key               List
	Tag               BytesColumn
	Domain, AtMs, Set List
}

// DueTimers is `due-timers`.
type DueTimers struct {
	Keys         KeySet
	Key          List
	Tag          BytesColumn
	Domain, AtMs List
	Call         Call
}

// Processed is `processed`.
type Processed struct {
	Emitted, Errors List
	Timers          TimerOps
}

// Result of a call is a variant: 0 holds what is ok, 1 a failure, which is a variant itself.
type (
	// ProcessedResult is `result<processed, failure>`.
	ProcessedResult struct {
		Tag uint8
		Processed
	}
	// FailureResult is how any result says a failure.
	FailureResult struct {
		Tag     uint8
		Failure struct {
			Tag  uint8
			Text List
		}
	}
	// ErrorResult is how a result says an error that is a text.
	ErrorResult struct {
		Tag  uint8
		Text List
	}
)

// Field is `field`.
type Field struct {
	Path           List
	Kind, Optional uint8
	Doc            List
}

// Input is `input`.
type Input struct {
	Name     List
	Identity uint8
	Fields   List
	Doc      List
}

// Output is `output`.
type Output struct {
	Name   List
	Fields List
	Sets   uint8
	Doc    List
}

// Table is `table`.
type Table struct {
	Name          List
	Prefetch      uint8
	Schema        List
	SchemaVersion uint32
	MigratesFrom  List
	TTL           struct {
		Tag uint8
		Ms  uint64
	}
}

// Connector is `connector`, `annotation` and `header`: two texts.
type Connector struct{ Name, Doc List }

// Manifest is `manifest`.
type Manifest struct {
	Name, Version, Doc, ConfigSchema                      List
	Inputs, Outputs, Key, Tables, Connectors, Annotations List
}

// ManifestResult is `result<manifest, string>`.
type ManifestResult struct {
	Tag uint8
	Manifest
}
