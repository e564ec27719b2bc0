//go:build !wasip1

// Package store, outside of WebAssembly: state in a map, for tests.
//
// The rule: it answers as the host does.
// Left to others: what values mean (package stateful).
package store

import (
	"bytes"
	"sort"

	"pelton"
)

type place struct {
	table, key uint32
	sub        string
}

// Kept is everything that was put.
var kept = map[place][]byte{}

// Clear forgets everything.
func Clear() { clear(kept) }

// Get is a value, and whether there is one.
func Get(table, key uint32, sub []byte) ([]byte, bool) {
	value, is := kept[place{table, key, string(sub)}]
	return value, is
}

// Put keeps a value.
func Put(table, key uint32, sub, value []byte) {
	kept[place{table, key, string(sub)}] = bytes.Clone(value)
}

// Delete forgets a value.
func Delete(table, key uint32, sub []byte) { delete(kept, place{table, key, string(sub)}) }

// GetMany is one cell per key, and which of them are there.
func GetMany(table uint32, keys []uint32) (values pelton.Bytes, present []byte) {
	values.Reset()
	present = make([]byte, len(keys))
	for i, key := range keys {
		value, is := Get(table, key, nil)
		if is {
			present[i] = 1
		}
		values.Append(value)
	}
	return values, present
}

// PutMany keeps one value per key; what is not there is deleted.
func PutMany(table uint32, keys []uint32, values *pelton.Bytes, present []byte) {
	for i, key := range keys {
		if present[i] != 0 {
			Put(table, key, nil, values.At(i))
		} else {
			Delete(table, key, nil)
		}
	}
}

// Scan is a page of the sub-keys from start up to end, and whether there are more.
func Scan(table, key uint32, start, end []byte, limit uint32) (subKeys, values pelton.Bytes, more bool) {
	var found []string
	for at := range kept {
		if at.table == table && at.key == key && at.sub >= string(start) && (len(end) == 0 || at.sub < string(end)) {
			found = append(found, at.sub)
		}
	}
	sort.Strings(found)
	if more = len(found) > int(limit); more {
		found = found[:limit]
	}
	subKeys.Reset()
	values.Reset()
	for _, sub := range found {
		subKeys.AppendText(sub)
		values.Append(kept[place{table, key, sub}])
	}
	return subKeys, values, more
}
