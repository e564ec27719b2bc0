//go:build wasip1

// Package store is keyed state, as the interface `state` has it.
//
// The rule: a function of the interface each; an answer lives as long as somebody holds it.
// Left to others: what values mean (package stateful).
package store

import (
	"unsafe"

	"pelton"
	"pelton/internal/wire"
)

//go:wasmimport pelton:plugin/state@0.1.0 get
func get(table, key uint32, sub unsafe.Pointer, length uint32, answer unsafe.Pointer)

//go:wasmimport pelton:plugin/state@0.1.0 put
func put(table, key uint32, sub unsafe.Pointer, length uint32, value unsafe.Pointer, valueLength uint32)

//go:wasmimport pelton:plugin/state@0.1.0 delete
func remove(table, key uint32, sub unsafe.Pointer, length uint32)

//go:wasmimport pelton:plugin/state@0.1.0 get-many
func getMany(table uint32, keys unsafe.Pointer, count uint32, answer unsafe.Pointer)

//go:wasmimport pelton:plugin/state@0.1.0 put-many
func putMany(table uint32, keys unsafe.Pointer, count uint32, data unsafe.Pointer, bytes uint32, offsets unsafe.Pointer, ends uint32, present unsafe.Pointer, flags uint32)

//go:wasmimport pelton:plugin/state@0.1.0 scan
func scan(table, key uint32, start unsafe.Pointer, startLength uint32, end unsafe.Pointer, endLength, limit uint32, answer unsafe.Pointer)

type (
	maybe struct {
		Tag   uint8
		Value wire.List
	}
	entries struct {
		SubKeys, Values wire.BytesColumn
		More            uint8
	}
)

func at[T any](slice []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(slice)) }

// Get is a value, and whether there is one.
func Get(table, key uint32, sub []byte) ([]byte, bool) {
	mark := wire.Mark()
	defer wire.ReleaseTo(mark)
	answer, _ := wire.New[maybe]()
	get(table, key, at(sub), uint32(len(sub)), unsafe.Pointer(answer))
	return wire.View[byte](answer.Value), answer.Tag != 0
}

// Put keeps a value.
func Put(table, key uint32, sub, value []byte) {
	put(table, key, at(sub), uint32(len(sub)), at(value), uint32(len(value)))
}

// Delete forgets a value.
func Delete(table, key uint32, sub []byte) { remove(table, key, at(sub), uint32(len(sub))) }

// GetMany is one cell per key, and which of them are there.
func GetMany(table uint32, keys []uint32) (pelton.Bytes, []byte) {
	mark := wire.Mark()
	defer wire.ReleaseTo(mark)
	answer, _ := wire.New[wire.OptionalBytes]()
	getMany(table, at(keys), uint32(len(keys)), unsafe.Pointer(answer))
	return wire.Cells(&answer.Cells), wire.View[byte](answer.Present)
}

// PutMany keeps one value per key; what is not there is deleted.
func PutMany(table uint32, keys []uint32, values *pelton.Bytes, present []byte) {
	putMany(table, at(keys), uint32(len(keys)), at(values.Data), uint32(len(values.Data)), at(values.Offsets), uint32(len(values.Offsets)), at(present), uint32(len(present)))
}

// Scan is a page of the sub-keys from start up to end, and whether there are more.
func Scan(table, key uint32, start, end []byte, limit uint32) (subKeys, values pelton.Bytes, more bool) {
	mark := wire.Mark()
	defer wire.ReleaseTo(mark)
	answer, _ := wire.New[entries]()
	scan(table, key, at(start), uint32(len(start)), at(end), uint32(len(end)), limit, unsafe.Pointer(answer))
	return wire.Cells(&answer.SubKeys), wire.Cells(&answer.Values), answer.More != 0
}
