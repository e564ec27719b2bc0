//go:build wasip1

// The exports of the world.

package transformer

import "pelton/internal/wire"

var plugin Columns

// RegisterColumns makes it the plugin of this program.
func RegisterColumns(columns Columns) {
	plugin = columns
	wire.Register(columns)
}

//go:wasmexport pelton:plugin/transform@0.1.0#process
func process(at uint32) uint32 {
	defer wire.Trap()
	return wire.Give(plugin.Process(wire.Pointer[wire.Batch](at).Lift()))
}

//go:wasmexport cabi_post_pelton:plugin/transform@0.1.0#process
func post(uint32) { wire.Release() }
