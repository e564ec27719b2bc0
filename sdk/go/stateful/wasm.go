//go:build wasip1

// The exports of the world.

package stateful

import (
	"pelton/internal/migrate"
	"pelton/internal/wire"
)

var plugin Columns

// RegisterColumns makes it the plugin of this program.
func RegisterColumns(columns Columns) {
	plugin = columns
	wire.Register(columns)
	migrate.Value = columns.Migrate
}

//go:wasmexport pelton:plugin/transform@0.1.0#process
func process(at uint32) uint32 {
	defer wire.Trap()
	return wire.Give(plugin.Process(wire.Pointer[wire.Batch](at).Lift()))
}

//go:wasmexport cabi_post_pelton:plugin/transform@0.1.0#process
func postProcess(uint32) { wire.Release() }

//go:wasmexport pelton:plugin/on-timers@0.1.0#fire
func fire(at uint32) uint32 {
	defer wire.Trap()
	return wire.Give(plugin.Fire(wire.Pointer[wire.DueTimers](at).Lift()))
}

//go:wasmexport cabi_post_pelton:plugin/on-timers@0.1.0#fire
func postFire(uint32) { wire.Release() }
