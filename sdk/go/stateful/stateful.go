// Package stateful is the world `stateful-transformer`: several inputs, tables by key, timers.
//
//	type Plugin struct {
//		Seen stateful.Table[int64]        // one value a key
//		Names stateful.Map[string]        // values by sub-key
//		Out  pelton.Output[Row]
//	}
//
//	func (p *Plugin) Click(key *stateful.Key, click *Click) error { seen, _ := p.Seen.Get(key); p.Seen.Put(key, seen+1); return nil }
//
//	func init() {
//		stateful.Register(pelton.Info{Name: "seen"}, &Plugin{}, stateful.Input("clicks", (*Plugin).Click))
//	}
//
// The rule: reads, writes and timers are of the key at hand; they count when the call returns. A write or a timer before a refusal stays; rows of a
// refused record are taken back. A method `Fire(key *stateful.Key, timer *stateful.Timer) error` gets the timers.
// Left to others: bytes (internal/wire), the host's store (internal/store), tables (table.go).
package stateful

import (
	"time"

	"pelton"
)

// Firer is a plugin that sets timers.
type Firer interface {
	Fire(key *Key, timer *Timer) error
}

// Timer has come due.
type Timer struct {
	Tag string
	At  time.Time
	// InProcessingTime says that it waited for that, not for event time.
	InProcessingTime bool
}

// Key is the key at hand.
type Key struct {
	session *pelton.Session
	keys    *pelton.KeySet
	index   uint32
}

// Bytes are the key.
func (k *Key) Bytes() []byte { return k.keys.Bytes.At(int(k.index)) }

// Text is a field of the step's key, of those that Info.Key lists.
func (k *Key) Text(field int) string { return k.keys.Fields[field].Cells.Text(int(k.index)) }

// Others is how many keys this call has, the one at hand among them.
func (k *Key) Others() int { return k.keys.Bytes.Len() }

// SetTimer waits for event time. A timer with the same tag is moved.
func (k *Key) SetTimer(tag string, at time.Time) {
	k.session.Timer(k.index, tag, pelton.InEventTime, at.UnixMilli(), true)
}

// SetClock waits for processing time.
func (k *Key) SetClock(tag string, at time.Time) {
	k.session.Timer(k.index, tag, pelton.InProcessingTime, at.UnixMilli(), true)
}

// CancelTimer forgets a timer in event time.
func (k *Key) CancelTimer(tag string) { k.session.Timer(k.index, tag, pelton.InEventTime, 0, false) }

// CancelClock forgets a timer in processing time.
func (k *Key) CancelClock(tag string) {
	k.session.Timer(k.index, tag, pelton.InProcessingTime, 0, false)
}

// InputOf is an input and the method that takes its records.
type InputOf[P any] func(binding *pelton.Binding, plugin P) reader

// reader processes a record of a batch.
type reader func(key *Key, batch *pelton.Batch, row int) error

// Input declares an input: its name, and the method that takes its records.
func Input[P, I any](name string, process func(plugin P, key *Key, record *I) error) InputOf[P] {
	return func(binding *pelton.Binding, plugin P) reader {
		rows, record := pelton.AddInput[I](binding, name), new(I)
		return func(key *Key, batch *pelton.Batch, row int) error {
			rows.Read(batch, row, record)
			return process(plugin, key, record)
		}
	}
}

// Columns is a plugin that works on columns. What it gives is read before the next call.
type Columns interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
	Process(batch *pelton.Batch) (*pelton.Processed, error)
	Fire(due *pelton.DueTimers) (*pelton.Processed, error)
	// Migrate brings a value of another version up to date; false deletes it, an error refuses it.
	Migrate(old *pelton.Stored) ([]byte, bool, error)
}

// Migrator is a plugin that reads values that another version of it wrote; false deletes the value, an error refuses it.
type Migrator interface {
	Migrate(old *pelton.Stored) ([]byte, bool, error)
}

// New makes a plugin of rows one of columns. The plugin may also have `Init() error`, `Describe(*pelton.Manifest) error`, and be a Migrator.
func New[P any](info pelton.Info, plugin P, inputs ...InputOf[P]) Columns {
	r := &rows{Binding: pelton.Bind(info, plugin)}
	r.firer, _ = any(plugin).(Firer)
	r.migrator, _ = any(plugin).(Migrator)
	for _, input := range inputs {
		r.inputs = append(r.inputs, input(r.Binding, plugin))
	}
	return r
}

// Register makes it the plugin of this program.
func Register[P any](info pelton.Info, plugin P, inputs ...InputOf[P]) {
	RegisterColumns(New(info, plugin, inputs...))
}

type rows struct {
	*pelton.Binding
	inputs   []reader
	firer    Firer
	migrator Migrator
}

// Process calls the input's method for each record.
func (r *rows) Process(batch *pelton.Batch) (*pelton.Processed, error) {
	r.Session.Start()
	key := &Key{session: &r.Session, keys: &batch.Keys}
	read := r.inputs[batch.Input]
	for row := range batch.Count {
		r.Session.At(row)
		if len(batch.KeyIndex) > 0 {
			key.index = batch.KeyIndex[row]
		}
		if err := r.Session.Settle(read(key, batch, row)); err != nil {
			return nil, err
		}
	}
	return r.Session.Finish(), nil
}

// Fire calls the plugin for each timer.
func (r *rows) Fire(due *pelton.DueTimers) (*pelton.Processed, error) {
	r.Session.Start()
	if r.firer == nil {
		return r.Session.Finish(), nil
	}
	key := &Key{session: &r.Session, keys: &due.Keys}
	for i := range due.Key {
		r.Session.At(i)
		key.index = due.Key[i]
		timer := &Timer{due.Tag.Text(i), time.UnixMilli(due.AtMs[i]).UTC(), due.Domain[i] == pelton.InProcessingTime}
		if err := r.Session.Settle(r.firer.Fire(key, timer)); err != nil {
			return nil, err
		}
	}
	return r.Session.Finish(), nil
}

// Migrate asks the plugin, or leaves the value as it is.
func (r *rows) Migrate(old *pelton.Stored) ([]byte, bool, error) {
	if r.migrator == nil {
		return old.Value, true, nil
	}
	return r.migrator.Migrate(old)
}
