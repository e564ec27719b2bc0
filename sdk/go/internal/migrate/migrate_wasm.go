//go:build wasip1

// Package migrate is the export `migrate-state`, which every world with state has.
//
// The rule: one value after the other; a value that is not there afterwards is deleted, and one that is refused stays as it was.
// Left to others: what a value of another version means (the packages of worlds).
package migrate

import (
	"errors"

	"pelton"
	"pelton/internal/wire"
)

// Value brings one value up to date; false deletes it, an error refuses it.
var Value func(old *pelton.Stored) ([]byte, bool, error)

type (
	input struct {
		Table, From     uint32
		Keys            wire.KeySet
		Key             wire.List
		SubKeys, Values wire.BytesColumn
	}
	result struct {
		Tag    uint8
		Values wire.OptionalBytes
		Errors wire.List
	}
)

//go:wasmexport pelton:plugin/migrate-state@0.1.0#migrate
func migrate(at uint32) uint32 {
	defer wire.Trap()
	in := wire.Pointer[input](at)
	keys, key := wire.Keys(&in.Keys), wire.View[uint32](in.Key)
	subKeys, values := wire.Cells(&in.SubKeys), wire.Cells(&in.Values)
	var (
		out     pelton.Bytes
		refused []pelton.RecordError
	)
	out.Reset()
	present := make([]byte, values.Len())
	for i := range present {
		old := pelton.Stored{Table: in.Table, Version: in.From, SubKey: subKeys.At(i), Value: values.At(i), Keys: &keys}
		if len(key) > 0 {
			old.Key = key[i]
		}
		value, is, err := Value(&old)
		var failure *pelton.Failure
		if errors.As(err, &failure) {
			return wire.FailText(failure)
		}
		switch {
		case err != nil:
			refused, value = append(refused, refusal(i, err)), nil
		case is:
			present[i] = 1
		default:
			value = nil
		}
		out.Append(value)
	}
	answer, address := wire.New[result]()
	answer.Values = wire.OptionalBytes{Cells: wire.LowerCells(&out), Present: wire.Out(present)}
	answer.Errors = wire.Errors(refused)
	return address
}

func refusal(index int, err error) pelton.RecordError {
	rejection := &pelton.Rejection{Code: "not_migrated", Message: err.Error()}
	errors.As(err, &rejection)
	return pelton.RecordError{Index: uint32(index), Code: rejection.Code, Message: rejection.Message}
}

//go:wasmexport cabi_post_pelton:plugin/migrate-state@0.1.0#migrate
func post(uint32) { wire.Release() }
