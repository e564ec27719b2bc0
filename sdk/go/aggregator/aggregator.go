// Package aggregator is the world `aggregator`: records of a window are folded into an accumulator, which gives rows when the window fires.
//
//	type Plugin struct{ Out pelton.Output[Turnover] }
//
//	func (p *Plugin) Fold(total *Total, sale *Sale) error      { total.Cents += sale.Cents; return nil }
//	func (p *Plugin) Combine(into, part *Total) error          { into.Cents += part.Cents; return nil }
//	func (p *Plugin) Finish(total *Total, w *aggregator.Window) error { p.Out.Emit(Turnover{total.Cents}); return nil }
//
//	func init() { aggregator.Register(pelton.Info{Name: "turnover"}, &Plugin{}) }
//
// The rule: the host owns windows, lateness and state; a plugin remembers nothing. An accumulator begins as its type's zero value. A record that is
// refused leaves it as it was; lists and maps in it are the exception: refuse before you change them.
// Left to others: bytes (internal/wire), the form of accumulators (pelton.Codec).
package aggregator

import (
	"time"

	"pelton"
)

// Plugin folds records of type I into accumulators of type A.
type Plugin[A, I any] interface {
	Fold(accumulator *A, record *I) error
	// Combine takes a part of the same window into another; parts come in their order.
	Combine(into, part *A) error
	Finish(accumulator *A, window *Window) error
}

// Firing is why a window gives a result.
type Firing uint8

// Why a window gives a result.
const (
	Early Firing = iota
	OnTime
	Late
	Retract
)

// Window is what fires.
type Window struct {
	// Key is the bytes of the step's key; empty where the step has none.
	Key []byte
	// Start is included, End is not.
	Start, End time.Time
	Firing     Firing
	// Number of this firing of the window, from 0.
	Number uint32
	fields []pelton.Column
	row    int
}

// KeyText is a field of the step's key, of those that Info.Key lists, as text.
func (w *Window) KeyText(field int) string { return w.fields[field].Cells.Text(w.row) }

// Groups of a call: one (key, window) each.
type Groups struct {
	Keys           pelton.KeySet
	Key            []uint32
	StartMs, EndMs []int64
}

// FoldInput says that record Row[i] belongs to group Group[i].
type FoldInput struct {
	Records      *pelton.Batch
	Groups       Groups
	Row, Group   []uint32
	Accumulators pelton.Bytes
}

// Closing is the windows that fire.
type Closing struct {
	Groups       Groups
	Firing       []Firing
	FiringNumber []uint32
	Accumulators pelton.Bytes
	Call         pelton.Call
}

// Columns is a plugin that works on columns. What it gives is read before the next call.
type Columns interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
	Fold(input *FoldInput) (*pelton.Bytes, []pelton.RecordError, error)
	// Combine makes one accumulator of the parts offsets[g] to offsets[g+1] of each group g.
	Combine(parts *pelton.Bytes, offsets []uint32) (*pelton.Bytes, error)
	Finish(closing *Closing) (*pelton.Processed, error)
	// Migrate brings an accumulator of an older version up to date.
	Migrate(version uint32, old []byte) ([]byte, error)
}

// New makes a plugin of rows one of columns. The plugin may also have `Init() error`, `Describe(*pelton.Manifest) error`, and
// `Migrate(version uint32, old []byte) (A, error)`, which reads what an older version wrote, without its version byte.
func New[A, I any](info pelton.Info, plugin Plugin[A, I]) Columns {
	binding := pelton.Bind(info, plugin)
	codec := pelton.Versioned[A](binding, "accumulator", plugin)
	return &rows[A, I]{Binding: binding, plugin: plugin, codec: codec, rows: pelton.AddInput[I](binding, "in"), record: new(I)}
}

// Register makes it the plugin of this program.
func Register[A, I any](info pelton.Info, plugin Plugin[A, I]) { RegisterColumns(New(info, plugin)) }

type rows[A, I any] struct {
	*pelton.Binding
	plugin       Plugin[A, I]
	codec        *pelton.Codec[A]
	rows         *pelton.Rows[I]
	record       *I
	accumulators []A
	out          pelton.Bytes
	scratch      []byte
}

func (r *rows[A, I]) load(cells *pelton.Bytes) error {
	count := cells.Len()
	if cap(r.accumulators) < count {
		r.accumulators = make([]A, count)
	}
	r.accumulators = r.accumulators[:count]
	for i := range r.accumulators {
		if err := r.codec.Decode(cells.At(i), &r.accumulators[i]); err != nil {
			return pelton.Fatal("%v", err)
		}
	}
	return nil
}

func (r *rows[A, I]) append(accumulator *A) {
	r.scratch = r.codec.Encode(r.scratch[:0], accumulator)
	r.out.Append(r.scratch)
}

// Fold calls the plugin for each record and each window that it is in.
func (r *rows[A, I]) Fold(input *FoldInput) (*pelton.Bytes, []pelton.RecordError, error) {
	r.Session.Start()
	r.out.Reset()
	if err := r.load(&input.Accumulators); err != nil {
		return nil, nil, err
	}
	last := -1
	for i, row := range input.Row {
		if int(row) != last {
			r.rows.Read(input.Records, int(row), r.record)
			r.Session.At(int(row))
			last = int(row)
		}
		accumulator := &r.accumulators[input.Group[i]]
		before := *accumulator
		if err := r.plugin.Fold(accumulator, r.record); err != nil {
			*accumulator = before
			if err := r.refuse(err, row); err != nil {
				return nil, nil, err
			}
		}
	}
	for i := range r.accumulators {
		r.append(&r.accumulators[i])
	}
	return &r.out, r.Session.Finish().Errors, nil
}

// refuse notes a record once, however many windows it is in.
func (r *rows[A, I]) refuse(err error, row uint32) error {
	errors := r.Session.Finish().Errors
	if _, failure := pelton.Refused(err); failure == nil && len(errors) > 0 && errors[len(errors)-1].Index == row {
		return nil
	}
	return r.Session.Settle(err)
}

// Combine joins parts in their order.
func (r *rows[A, I]) Combine(parts *pelton.Bytes, offsets []uint32) (*pelton.Bytes, error) {
	r.out.Reset()
	if err := r.load(parts); err != nil {
		return nil, err
	}
	for group := 0; group+1 < len(offsets); group++ {
		var into A
		for part := offsets[group]; part < offsets[group+1]; part++ {
			if part == offsets[group] {
				into = r.accumulators[part]
			} else if err := r.plugin.Combine(&into, &r.accumulators[part]); err != nil {
				return nil, pelton.Fatal("%v", err)
			}
		}
		r.append(&into)
	}
	return &r.out, nil
}

// Finish calls the plugin for each window that fires.
func (r *rows[A, I]) Finish(closing *Closing) (*pelton.Processed, error) {
	r.Session.Start()
	if err := r.load(&closing.Accumulators); err != nil {
		return nil, err
	}
	groups := &closing.Groups
	for group := range r.accumulators {
		r.Session.At(group)
		window := Window{
			Start: time.UnixMilli(groups.StartMs[group]).UTC(), End: time.UnixMilli(groups.EndMs[group]).UTC(),
			Firing: closing.Firing[group], Number: closing.FiringNumber[group],
		}
		if len(groups.Key) > 0 {
			window.row, window.fields = int(groups.Key[group]), groups.Keys.Fields
			if groups.Keys.Bytes.Len() > 0 {
				window.Key = groups.Keys.Bytes.At(window.row)
			}
		}
		if err := r.plugin.Finish(&r.accumulators[group], &window); err != nil {
			if err := r.Session.Settle(err); err != nil {
				return nil, err
			}
		}
	}
	return r.Session.Finish(), nil
}

// Migrate reads an older accumulator and writes it as this version does.
func (r *rows[A, I]) Migrate(_ uint32, old []byte) ([]byte, error) { return r.codec.Renew(old) }
