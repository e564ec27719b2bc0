//go:build wasip1

// The exports of the world.

package keyed

import (
	"pelton"
	"pelton/internal/migrate"
	"pelton/internal/wire"
)

var plugin Columns

// RegisterColumns makes it the plugin of this program.
func RegisterColumns(columns Columns) {
	plugin = columns
	wire.Register(columns)
	migrate.Value = func(old *pelton.Stored) ([]byte, bool, error) {
		migrated, err := columns.Migrate(old.Version, old.Value)
		return migrated, true, err
	}
}

type (
	batchAndStates struct {
		Batch  wire.Batch
		States wire.BytesColumn
	}
	dueAndStates struct {
		Due    wire.DueTimers
		States wire.BytesColumn
	}
	output struct {
		Tag       uint8
		Processed wire.Processed
		States    wire.BytesColumn
	}
)

func give(processed *pelton.Processed, states *pelton.Bytes, err error) uint32 {
	if err != nil {
		return wire.Fail(err)
	}
	result, address := wire.New[output]()
	result.Processed.Lower(processed)
	result.States = wire.LowerCells(states)
	return address
}

//go:wasmexport pelton:plugin/keyed@0.1.0#process
func process(at uint32) uint32 {
	defer wire.Trap()
	in := wire.Pointer[batchAndStates](at)
	states := wire.Cells(&in.States)
	return give(plugin.Process(in.Batch.Lift(), &states))
}

//go:wasmexport cabi_post_pelton:plugin/keyed@0.1.0#process
func postProcess(uint32) { wire.Release() }

//go:wasmexport pelton:plugin/keyed@0.1.0#fire
func fire(at uint32) uint32 {
	defer wire.Trap()
	in := wire.Pointer[dueAndStates](at)
	states := wire.Cells(&in.States)
	return give(plugin.Fire(in.Due.Lift(), &states))
}

//go:wasmexport cabi_post_pelton:plugin/keyed@0.1.0#fire
func postFire(uint32) { wire.Release() }
