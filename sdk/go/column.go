// Columns: what crosses the boundary, as Go slices.
//
// The rule: what comes in is a view over memory that the host filled; it is garbage-collected like any other, so it may be kept, and must not
// be written. What goes out follows the interface: n+1 offsets for n cells, nulls only where there are any.
// Left to others: rows (rows.go, output.go).

package pelton

import "unsafe"

// Bytes is a column of byte strings: cell i is Data[Offsets[i]:Offsets[i+1]].
type Bytes struct {
	Data    []byte
	Offsets []uint32
}

// Len is the count of cells.
func (b *Bytes) Len() int {
	if len(b.Offsets) == 0 {
		return 0
	}
	return len(b.Offsets) - 1
}

// At is one cell.
func (b *Bytes) At(row int) []byte {
	first, end := b.Offsets[row], b.Offsets[row+1]
	return b.Data[first:end:end]
}

// Text is one cell as text. It shares the column's memory.
func (b *Bytes) Text(row int) string {
	first, end := b.Offsets[row], b.Offsets[row+1]
	cell := b.Data[first:end]
	return unsafe.String(unsafe.SliceData(cell), len(cell))
}

// Append adds a cell.
func (b *Bytes) Append(cell []byte) {
	if len(b.Offsets) == 0 {
		b.Offsets = append(b.Offsets, 0)
	}
	b.Data = append(b.Data, cell...)
	b.Offsets = append(b.Offsets, uint32(len(b.Data)))
}

// AppendText adds a cell.
func (b *Bytes) AppendText(cell string) {
	if len(b.Offsets) == 0 {
		b.Offsets = append(b.Offsets, 0)
	}
	b.Data = append(b.Data, cell...)
	b.Offsets = append(b.Offsets, uint32(len(b.Data)))
}

// Reset empties the column to one that is there and has no cells: its offsets are `[0]`.
func (b *Bytes) Reset() {
	b.Data, b.Offsets = b.Data[:0], append(b.Offsets[:0], 0)
}

func (b *Bytes) truncate(rows int) {
	b.Offsets = b.Offsets[:rows+1]
	b.Data = b.Data[:b.Offsets[rows]]
}

// Column is one typed field of every record: the slice that its kind names is filled, the others are nil.
type Column struct {
	Kind Kind
	// Bools of Boolean.
	Bools []byte
	// I32 of Int32 and DateKind.
	I32 []int32
	// I64 of Int64 and TimestampKind.
	I64 []int64
	// F64 of Float64.
	F64 []float64
	// Cells of Text, Binary, JSONKind, and the digits of DecimalKind.
	Cells Bytes
	// Scale of DecimalKind.
	Scale int32
	// Null is 1 where there is no value; nil where every cell has one.
	Null []byte
}

// IsNull says whether a cell has no value.
func (c *Column) IsNull(row int) bool { return len(c.Null) != 0 && c.Null[row] != 0 }

// Len is the count of cells.
func (c *Column) Len() int {
	switch c.Kind {
	case Boolean:
		return len(c.Bools)
	case Int32, DateKind:
		return len(c.I32)
	case Int64, TimestampKind:
		return len(c.I64)
	case Float64:
		return len(c.F64)
	}
	return c.Cells.Len()
}

// Reset empties the column and keeps its memory.
func (c *Column) Reset() {
	c.Bools, c.I32, c.I64, c.F64, c.Null = c.Bools[:0], c.I32[:0], c.I64[:0], c.F64[:0], c.Null[:0]
	c.Scale = 0
	c.Cells.Reset()
}

// setNull marks the last cell, which must be there already.
func (c *Column) setNull() {
	row := c.Len() - 1
	for len(c.Null) < row {
		c.Null = append(c.Null, 0)
	}
	c.Null = append(c.Null, 1)
}

// Finish makes the nulls as long as the column, or none.
func (c *Column) Finish() {
	if len(c.Null) == 0 {
		return
	}
	for rows := c.Len(); len(c.Null) < rows; {
		c.Null = append(c.Null, 0)
	}
}

func (c *Column) truncate(rows int) {
	switch c.Kind {
	case Boolean:
		c.Bools = c.Bools[:rows]
	case Int32, DateKind:
		c.I32 = c.I32[:rows]
	case Int64, TimestampKind:
		c.I64 = c.I64[:rows]
	case Float64:
		c.F64 = c.F64[:rows]
	default:
		c.Cells.truncate(rows)
	}
	if len(c.Null) > rows {
		c.Null = c.Null[:rows]
	}
}

// AppendDecimal adds a number. A column has one scale, so the numbers before are brought to that with most digits after the point.
func (c *Column) AppendDecimal(d Decimal) {
	if d.Scale > c.Scale && c.Cells.Len() > 0 {
		old := c.Cells
		c.Cells = Bytes{}
		c.Cells.Reset()
		for row := range old.Len() {
			c.Cells.Append(c.rescaled(&old, row, d.Scale))
		}
		c.Scale = d.Scale
	} else if c.Cells.Len() == 0 {
		c.Scale = d.Scale
	}
	c.Cells.Append(d.at(c.Scale).Unscaled)
}

func (c *Column) rescaled(cells *Bytes, row int, scale int32) []byte {
	if c.IsNull(row) || len(cells.At(row)) == 0 {
		return nil
	}
	return Decimal{cells.At(row), c.Scale}.at(scale).Unscaled
}

// KeySet is the keys of a step: one cell a key, and the typed columns of the step's `key:`.
type KeySet struct {
	Bytes  Bytes
	Fields []Column
}

// Batch is the records of a call. Columns that the manifest did not ask for are empty.
type Batch struct {
	// Input is an index into the manifest's inputs.
	Input, Count int
	Call         Call
	Keys         KeySet
	KeyIndex     []uint32
	Shards       []string
	ShardIndex   []uint32
	Sequence     Bytes
	SubSequence  []uint32
	PartitionKey Bytes
	EventUs      []int64
	ArrivalUs    []int64
	Operation    []byte
	Payload      Bytes
	Fields       []Column
}

// Emitted is rows for one output. Source names the record, group or timer that each comes from.
type Emitted struct {
	Output       int
	Source       []uint32
	PartitionKey Bytes
	EventUs      []int64
	Operation    []byte
	Payload      Bytes
	Fields       []Column
}

// RecordError is a record that could not be processed.
type RecordError struct {
	Index         uint32
	Code, Message string
}

// TimeDomain says which time a timer waits for.
type TimeDomain uint8

// The times.
const (
	InEventTime TimeDomain = iota
	InProcessingTime
)

// TimerOps sets and cancels timers, as columns.
type TimerOps struct {
	Key    []uint32
	Tag    Bytes
	Domain []TimeDomain
	AtMs   []int64
	Set    []byte
}

// DueTimers are timers whose time has come.
type DueTimers struct {
	Keys   KeySet
	Key    []uint32
	Tag    Bytes
	Domain []TimeDomain
	AtMs   []int64
	Call   Call
}

// Processed is what a call gives.
type Processed struct {
	Emitted []*Emitted
	Errors  []RecordError
	Timers  TimerOps
}
