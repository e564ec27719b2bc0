//go:build wasip1

// Package migrate is the export `migrate-state`, which every world with state has.
//
// The rule: one value after the other; a value that is not there afterwards is deleted.
// Left to others: what a value of an older version means (the packages of worlds).
package migrate

import (
	"pelton"
	"pelton/internal/wire"
)

// Value brings one value up to date; false deletes it.
var Value func(table, from uint32, key, subKey, value []byte) ([]byte, bool, error)

type result struct {
	Tag    uint8
	Values wire.OptionalBytes
}

func cells(data, dataLen, offsets, offsetsLen uint32) pelton.Bytes {
	return wire.Cells(&wire.BytesColumn{Data: wire.List{At: data, Len: dataLen}, Offsets: wire.List{At: offsets, Len: offsetsLen}})
}

//go:wasmexport pelton:plugin/migrate-state@0.1.0#migrate
func migrate(table, from, k, kl, ko, kol, s, sl, so, sol, v, vl, vo, vol uint32) uint32 {
	defer wire.Trap()
	keys, subKeys, values := cells(k, kl, ko, kol), cells(s, sl, so, sol), cells(v, vl, vo, vol)
	var out pelton.Bytes
	out.Reset()
	present := make([]byte, values.Len())
	for i := range present {
		value, is, err := Value(table, from, keys.At(i), subKeys.At(i), values.At(i))
		if err != nil {
			return wire.FailText(err)
		}
		if is {
			present[i] = 1
		} else {
			value = nil
		}
		out.Append(value)
	}
	answer, address := wire.New[result]()
	answer.Values = wire.OptionalBytes{Cells: wire.LowerCells(&out), Present: wire.Out(present)}
	return address
}

//go:wasmexport cabi_post_pelton:plugin/migrate-state@0.1.0#migrate
func post(uint32) { wire.Release() }
