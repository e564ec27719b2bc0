//go:build wasip1

// What comes in becomes Go's slices, without a copy.
//
// The rule: the host has checked what it gives, so nothing is checked here.
// Left to others: memory (memory_wasm.go).

package wire

import "pelton"

// Cells lifts `bytes-column`.
func Cells(c *BytesColumn) pelton.Bytes {
	return pelton.Bytes{Data: View[byte](c.Data), Offsets: View[uint32](c.Offsets)}
}

func column(c *Column) pelton.Column {
	lifted := pelton.Column{Kind: pelton.Kind(c.Tag), Null: View[byte](c.Null)}
	switch lifted.Kind {
	case pelton.Boolean:
		lifted.Bools = View[byte](c.Data)
	case pelton.Int32, pelton.DateKind:
		lifted.I32 = View[int32](c.Data)
	case pelton.Int64, pelton.TimestampKind:
		lifted.I64 = View[int64](c.Data)
	case pelton.Float64:
		lifted.F64 = View[float64](c.Data)
	case pelton.DecimalKind:
		lifted.Scale = c.Scale
		fallthrough
	default:
		lifted.Cells = pelton.Bytes{Data: View[byte](c.Data), Offsets: View[uint32](c.Offsets)}
	}
	return lifted
}

func columns(list List) []pelton.Column {
	wire := View[Column](list)
	lifted := make([]pelton.Column, len(wire))
	for i := range wire {
		lifted[i] = column(&wire[i])
	}
	return lifted
}

// Keys lifts `key-set`.
func Keys(k *KeySet) pelton.KeySet {
	return pelton.KeySet{Bytes: Cells(&k.Bytes), Fields: columns(k.Fields)}
}

// Begin lifts what a call is told, and begins it.
func (c *Call) Begin() pelton.Call {
	call := pelton.Call{NowMs: c.NowMs, Seed: c.Seed, WatermarkMs: pelton.Null[int64]{V: c.Watermark.Ms, Valid: c.Watermark.Tag != 0}}
	pelton.Begin(call)
	tellsTime(c.NowMs)
	return call
}

// tellsTime sets the wall clock. Nobody asks the host for it: Go reads the clock while it collects garbage, and that may be in cabi_realloc, from
// where no call of the host is allowed.
//
//go:wasmimport wasi_snapshot_preview1 pelton_tells_time
func tellsTime(ms int64) uint32

// Lift lifts `batch`, and begins the call that it belongs to.
func (b *Batch) Lift() *pelton.Batch {
	shards := View[List](b.Shards)
	lifted := &pelton.Batch{
		Input: int(b.Input), Count: int(b.Count), Call: b.Call.Begin(),
		Keys: Keys(&b.Keys), KeyIndex: View[uint32](b.KeyIndex),
		Shards: make([]string, len(shards)), ShardIndex: View[uint32](b.ShardIndex),
		Sequence: Cells(&b.Sequence), SubSequence: View[uint32](b.SubSequence),
		PartitionKey: Cells(&b.PartitionKey),
		EventUs:      View[int64](b.EventUs), ArrivalUs: View[int64](b.ArrivalUs),
		Operation: View[byte](b.Operation), Payload: Cells(&b.Payload),
		Fields: columns(b.Fields),
	}
	for i, shard := range shards {
		lifted.Shards[i] = Text(shard)
	}
	return lifted
}

// Lift lifts `due-timers`, and begins the call that they belong to.
func (d *DueTimers) Lift() *pelton.DueTimers {
	return &pelton.DueTimers{
		Keys: Keys(&d.Keys), Key: View[uint32](d.Key), Tag: Cells(&d.Tag), Domain: View[pelton.TimeDomain](d.Domain),
		AtMs: View[int64](d.AtMs), Call: d.Call.Begin(),
	}
}
