//go:build wasip1

// Memory that both sides see.
//
// The rule: the host's `cabi_realloc` is an ordinary allocation, pinned until the call is over; so whatever a plugin keeps of it stays alive, and
// the rest is garbage. What goes out is pinned the same way, until the host has read it and calls `cabi_post`. Go moves no heap object.
// Left to others: reading (lift_wasm.go) and writing (lower_wasm.go).

package wire

import "unsafe"

// Small blocks share a larger one.
const (
	small  = 512
	shared = 8 << 10
)

var (
	pins [][]uint64
	rest []uint64
)

func words(bytes uint32) []uint64 {
	count := int(bytes+7) / 8
	if bytes > small {
		block := make([]uint64, count)
		pins = append(pins, block)
		return block
	}
	if len(rest) < count {
		rest = make([]uint64, shared/8)
		pins = append(pins, rest)
	}
	block := rest[:count:count]
	rest = rest[count:]
	return block
}

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return align
	}
	block := words(size)
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&block[0])), size), unsafe.Slice((*byte)(at(old)), oldSize))
	}
	return address(unsafe.Pointer(&block[0]))
}

func at(address uint32) unsafe.Pointer { return unsafe.Pointer(uintptr(address)) }

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

// Release forgets what the call pinned.
func Release() {
	clear(pins)
	pins = append(pins[:0], rest) // what is left of a shared block goes on to be used
	clear(kept)
	kept = kept[:0]
}

// Mark and ReleaseTo bracket a call of the host within a call: what it brought is alive as long as it is used, and no longer.
func Mark() int { return len(pins) }

// ReleaseTo forgets what was pinned after the mark.
func ReleaseTo(mark int) {
	clear(pins[mark:])
	pins = append(pins[:mark], rest)
}

// kept is what goes out and lies in memory of the plugin's own.
var kept []any

// Pointer is where a record lies that the host wrote.
func Pointer[T any](address uint32) *T { return (*T)(at(address)) }

// New makes a zeroed record that the host will read, and its address.
func New[T any]() (*T, uint32) {
	var zero T
	block := words(uint32(unsafe.Sizeof(zero)))
	p := unsafe.Pointer(&block[0])
	return (*T)(p), address(p)
}

// View is a list that came in.
func View[T any](list List) []T {
	if list.Len == 0 {
		return nil
	}
	return unsafe.Slice((*T)(at(list.At)), list.Len)
}

// Text is a text that came in.
func Text(list List) string {
	if list.Len == 0 {
		return ""
	}
	return unsafe.String((*byte)(at(list.At)), list.Len)
}

// Out is a list that goes out.
func Out[T any](slice []T) List {
	if len(slice) == 0 {
		return List{At: 8}
	}
	kept = append(kept, unsafe.SliceData(slice))
	return List{address(unsafe.Pointer(unsafe.SliceData(slice))), uint32(len(slice))}
}

// OutText is a text that goes out.
func OutText(text string) List {
	if text == "" {
		return List{At: 8}
	}
	data := unsafe.StringData(text)
	kept = append(kept, data)
	return List{address(unsafe.Pointer(data)), uint32(len(text))}
}

// Make is a zeroed list of records that goes out.
func Make[T any](count int) ([]T, List) {
	if count == 0 {
		return nil, List{At: 8}
	}
	var zero T
	block := words(uint32(unsafe.Sizeof(zero)) * uint32(count))
	p := unsafe.Pointer(&block[0])
	return unsafe.Slice((*T)(p), count), List{address(p), uint32(count)}
}
