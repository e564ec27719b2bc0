// Types of cells that Go has no name for, and what a record carries beside its fields.
//
// The rule: a type says what a column is, so that a struct of them is a whole declaration.
// Left to others: which columns a struct asks for (plan.go).

package pelton

import (
	"math/big"
	"time"
)

// Null is a cell that may have no value.
type Null[T any] struct {
	V     T
	Valid bool
}

// Some is a cell with a value.
func Some[T any](value T) Null[T] { return Null[T]{value, true} }

// Or is the value, or another where there is none.
func (n Null[T]) Or(other T) T {
	if n.Valid {
		return n.V
	}
	return other
}

// Timestamp is microseconds since 1970 in UTC.
type Timestamp int64

// TimestampOf cuts a time to microseconds.
func TimestampOf(t time.Time) Timestamp { return Timestamp(t.UnixMicro()) }

// Time is the timestamp as Go has it.
func (t Timestamp) Time() time.Time { return time.UnixMicro(int64(t)).UTC() }

// Date is days since 1970.
type Date int32

// DateOf is the day of a time in UTC.
func DateOf(t time.Time) Date {
	seconds := t.Unix()
	days := seconds / 86400
	if seconds%86400 < 0 {
		days--
	}
	return Date(days)
}

// Time is midnight of the day in UTC.
func (d Date) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// JSON is a nested value as its text.
type JSON string

// Decimal is an exact number: Unscaled / 10^Scale. Unscaled is big-endian two's complement, as short as it may be.
type Decimal struct {
	Unscaled []byte
	Scale    int32
}

// DecimalOf makes a decimal of a number without point and the count of digits after it.
func DecimalOf(unscaled *big.Int, scale int32) Decimal {
	return Decimal{twosComplement(unscaled), scale}
}

// Int is the number without its point.
func (d Decimal) Int() *big.Int {
	number := new(big.Int).SetBytes(d.Unscaled)
	if len(d.Unscaled) > 0 && d.Unscaled[0]&0x80 != 0 {
		number.Sub(number, new(big.Int).Lsh(big.NewInt(1), uint(len(d.Unscaled)*8)))
	}
	return number
}

func (d Decimal) at(scale int32) Decimal {
	if scale <= d.Scale {
		return d
	}
	factor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale-d.Scale)), nil)
	return DecimalOf(factor.Mul(factor, d.Int()), scale)
}

func twosComplement(number *big.Int) []byte {
	if number.Sign() >= 0 {
		bytes := number.Bytes()
		if len(bytes) == 0 || bytes[0]&0x80 != 0 {
			bytes = append([]byte{0}, bytes...)
		}
		return bytes
	}
	// One more than the bits of -n-1, which is what two's complement inverts.
	inverted := new(big.Int).Not(number)
	bytes := make([]byte, inverted.BitLen()/8+1)
	inverted.FillBytes(bytes)
	for i := range bytes {
		bytes[i] = ^bytes[i]
	}
	return bytes
}

// What a record carries beside its fields. In an input struct a field of one of these types asks for it; in an output struct a
// PartitionKey, EventTime, Payload or Operation sets it, and what is not set is inherited.
type (
	// PartitionKey of the record in its stream.
	PartitionKey string
	// EventTime in microseconds since 1970.
	EventTime Timestamp
	// ArrivalTime in microseconds since 1970; input only.
	ArrivalTime Timestamp
	// Payload is the record's bytes; an output with a payload has no fields.
	Payload []byte
	// Operation is what a row does to its key.
	Operation byte
	// Position is where a record stands: Shard is STREAM/SHARD, Sequence is decimal digits. No other record of the job has the same. Input only.
	Position struct {
		Shard, Sequence string
		SubSequence     uint32
	}
)

// What a row does to its key.
const (
	Insert Operation = iota
	UpdateBefore
	UpdateAfter
	Delete
)
