// Cells between columns and structs.
//
// The rule: the only pointers are a struct's address and the offsets of its plan.
// Left to others: the plan (plan.go), which rows (rows.go, output.go).

package pelton

import "unsafe"

// read fills a struct with a row.
func (p *plan) read(b *Batch, row int, at unsafe.Pointer) {
	for i := range p.slots {
		s := &p.slots[i]
		to := unsafe.Add(at, s.value)
		if s.identity != 0 {
			readIdentity(b, row, s.identity, to)
			continue
		}
		c := &b.Fields[s.column]
		if s.nullable {
			null := c.IsNull(row)
			*(*bool)(unsafe.Add(at, s.valid)) = !null
			if null {
				clearCell(s.kind, to)
				continue
			}
		}
		readCell(c, row, s.kind, to)
	}
}

func readCell(c *Column, row int, kind Kind, to unsafe.Pointer) {
	switch kind {
	case Boolean:
		*(*bool)(to) = c.Bools[row] != 0
	case Int32, DateKind:
		*(*int32)(to) = c.I32[row]
	case Int64, TimestampKind:
		*(*int64)(to) = c.I64[row]
	case Float64:
		*(*float64)(to) = c.F64[row]
	case Text, JSONKind:
		*(*string)(to) = c.Cells.Text(row)
	case Binary:
		*(*[]byte)(to) = c.Cells.At(row)
	case DecimalKind:
		*(*Decimal)(to) = Decimal{c.Cells.At(row), c.Scale}
	}
}

func clearCell(kind Kind, to unsafe.Pointer) {
	switch kind {
	case Boolean:
		*(*bool)(to) = false
	case Int32, DateKind:
		*(*int32)(to) = 0
	case Int64, TimestampKind, Float64:
		*(*int64)(to) = 0
	case Text, JSONKind:
		*(*string)(to) = ""
	case Binary:
		*(*[]byte)(to) = nil
	case DecimalKind:
		*(*Decimal)(to) = Decimal{}
	}
}

func readIdentity(b *Batch, row int, identity Identity, to unsafe.Pointer) {
	switch identity {
	case HasPartitionKey:
		*(*PartitionKey)(to) = PartitionKey(b.PartitionKey.Text(row))
	case HasEventTime:
		*(*EventTime)(to) = EventTime(b.EventUs[row])
	case HasArrivalTime:
		*(*ArrivalTime)(to) = ArrivalTime(b.ArrivalUs[row])
	case HasPayload:
		*(*Payload)(to) = b.Payload.At(row)
	case HasOperation:
		*(*Operation)(to) = Insert
		if len(b.Operation) != 0 {
			*(*Operation)(to) = Operation(b.Operation[row])
		}
	case HasPosition:
		*(*Position)(to) = Position{b.Shards[b.ShardIndex[row]], b.Sequence.Text(row), b.SubSequence[row]}
	}
}

// append adds a struct as a row.
func (p *plan) append(e *Emitted, at unsafe.Pointer) {
	for i := range p.slots {
		s := &p.slots[i]
		from := unsafe.Add(at, s.value)
		if s.identity != 0 {
			appendIdentity(e, s.identity, from)
			continue
		}
		c := &e.Fields[s.column]
		if s.nullable && !*(*bool)(unsafe.Add(at, s.valid)) {
			appendNull(c, s.kind)
			continue
		}
		appendCell(c, s.kind, from)
	}
}

func appendCell(c *Column, kind Kind, from unsafe.Pointer) {
	switch kind {
	case Boolean:
		c.Bools = append(c.Bools, *(*byte)(from))
	case Int32, DateKind:
		c.I32 = append(c.I32, *(*int32)(from))
	case Int64, TimestampKind:
		c.I64 = append(c.I64, *(*int64)(from))
	case Float64:
		c.F64 = append(c.F64, *(*float64)(from))
	case Text, JSONKind:
		c.Cells.AppendText(*(*string)(from))
	case Binary:
		c.Cells.Append(*(*[]byte)(from))
	case DecimalKind:
		c.AppendDecimal(*(*Decimal)(from))
	}
}

func appendNull(c *Column, kind Kind) {
	switch kind {
	case Boolean:
		c.Bools = append(c.Bools, 0)
	case Int32, DateKind:
		c.I32 = append(c.I32, 0)
	case Int64, TimestampKind:
		c.I64 = append(c.I64, 0)
	case Float64:
		c.F64 = append(c.F64, 0)
	default:
		c.Cells.AppendText("")
	}
	c.setNull()
}

func appendIdentity(e *Emitted, identity Identity, from unsafe.Pointer) {
	switch identity {
	case HasPartitionKey:
		e.PartitionKey.AppendText(*(*string)(from))
	case HasEventTime:
		e.EventUs = append(e.EventUs, *(*int64)(from))
	case HasPayload:
		e.Payload.Append(*(*[]byte)(from))
	case HasOperation:
		e.Operation = append(e.Operation, *(*byte)(from))
	}
}
