//go:build wasip1

// The exports of the world.

package aggregator

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

type windows struct {
	Keys                wire.KeySet
	Key, StartMs, EndMs wire.List
}

func (w *windows) lift() Groups {
	return Groups{wire.Keys(&w.Keys), wire.View[uint32](w.Key), wire.View[int64](w.StartMs), wire.View[int64](w.EndMs)}
}

type foldInput struct {
	Records      wire.Batch
	Groups       windows
	Row, Group   wire.List
	Accumulators wire.BytesColumn
}

type foldedResult struct {
	Tag          uint8
	Accumulators wire.BytesColumn
	Errors       wire.List
}

//go:wasmexport pelton:plugin/aggregate@0.1.0#fold
func fold(at uint32) uint32 {
	defer wire.Trap()
	in := wire.Pointer[foldInput](at)
	accumulators, errors, err := plugin.Fold(&FoldInput{
		Records: in.Records.Lift(), Groups: in.Groups.lift(), Row: wire.View[uint32](in.Row), Group: wire.View[uint32](in.Group),
		Accumulators: wire.Cells(&in.Accumulators),
	})
	if err != nil {
		return wire.Fail(err)
	}
	result, address := wire.New[foldedResult]()
	result.Accumulators, result.Errors = wire.LowerCells(accumulators), wire.Errors(errors)
	return address
}

//go:wasmexport cabi_post_pelton:plugin/aggregate@0.1.0#fold
func postFold(uint32) { wire.Release() }

type cellsResult struct {
	Tag   uint8
	Cells wire.BytesColumn
}

//go:wasmexport pelton:plugin/aggregate@0.1.0#combine
func combine(data, dataLen, offsets, offsetsLen, groups, groupsLen uint32) uint32 {
	defer wire.Trap()
	parts := wire.Cells(&wire.BytesColumn{Data: wire.List{At: data, Len: dataLen}, Offsets: wire.List{At: offsets, Len: offsetsLen}})
	combined, err := plugin.Combine(&parts, wire.View[uint32](wire.List{At: groups, Len: groupsLen}))
	if err != nil {
		return wire.Fail(err)
	}
	result, address := wire.New[cellsResult]()
	result.Cells = wire.LowerCells(combined)
	return address
}

//go:wasmexport cabi_post_pelton:plugin/aggregate@0.1.0#combine
func postCombine(uint32) { wire.Release() }

type closing struct {
	Groups       windows
	Firing       wire.List
	FiringNumber wire.List
	Accumulators wire.BytesColumn
	Call         wire.Call
}

//go:wasmexport pelton:plugin/aggregate@0.1.0#finish
func finish(at uint32) uint32 {
	defer wire.Trap()
	in := wire.Pointer[closing](at)
	return wire.Give(plugin.Finish(&Closing{
		Groups: in.Groups.lift(), Firing: wire.View[Firing](in.Firing), FiringNumber: wire.View[uint32](in.FiringNumber),
		Accumulators: wire.Cells(&in.Accumulators), Call: in.Call.Begin(),
	}))
}

//go:wasmexport cabi_post_pelton:plugin/aggregate@0.1.0#finish
func postFinish(uint32) { wire.Release() }
