// Package keyed is the world `keyed-transformer`: the state of a key goes in with its records, and comes out with the results.
//
//	type Plugin struct{ Out pelton.Output[Row] }
//
//	func (p *Plugin) Process(key *keyed.Key, count *Count, record *Record) error { count.N++; return nil }
//
//	func init() { keyed.Register(pelton.Info{Name: "counts"}, &Plugin{}) }
//
// The rule: a state begins as its type's zero value; a record that is refused leaves it as it was, except for lists and maps in it: refuse before you
// change them. A method `Fire(key *keyed.Key, state *S, timer *keyed.Timer) error` gets the timers that the plugin sets.
// Left to others: bytes (internal/wire), the form of states (pelton.Codec).
package keyed

import (
	"time"

	"pelton"
)

// Plugin processes records of type I with a state of type S for each key.
type Plugin[S, I any] interface {
	Process(key *Key, state *S, record *I) error
}

// Firer is a plugin that sets timers.
type Firer[S any] interface {
	Fire(key *Key, state *S, timer *Timer) error
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
	deleted bool
}

// Bytes are the key.
func (k *Key) Bytes() []byte { return k.keys.Bytes.At(int(k.index)) }

// Text is a field of the step's key, of those that Info.Key lists.
func (k *Key) Text(field int) string { return k.keys.Fields[field].Cells.Text(int(k.index)) }

// Delete forgets the state of the key.
func (k *Key) Delete() { k.deleted = true }

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

// Columns is a plugin that works on columns. What it gives is read before the next call.
type Columns interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
	Process(batch *pelton.Batch, states *pelton.Bytes) (*pelton.Processed, *pelton.Bytes, error)
	Fire(due *pelton.DueTimers, states *pelton.Bytes) (*pelton.Processed, *pelton.Bytes, error)
	Migrate(version uint32, old []byte) ([]byte, error)
}

// New makes a plugin of rows one of columns. The plugin may also have `Init() error`, `Describe(*pelton.Manifest) error`, and
// `Migrate(version uint32, old []byte) (S, error)`, which reads what an older version wrote, without its version byte.
func New[S, I any](info pelton.Info, plugin Plugin[S, I]) Columns {
	binding := pelton.Bind(info, plugin)
	codec := pelton.Versioned[S](binding, "state", plugin)
	return &rows[S, I]{Binding: binding, plugin: plugin, codec: codec, rows: pelton.AddInput[I](binding, "in"), record: new(I)}
}

// Register makes it the plugin of this program.
func Register[S, I any](info pelton.Info, plugin Plugin[S, I]) { RegisterColumns(New(info, plugin)) }

type state[S any] struct {
	value   S
	loaded  bool
	deleted bool
}

type rows[S, I any] struct {
	*pelton.Binding
	plugin  Plugin[S, I]
	codec   *pelton.Codec[S]
	rows    *pelton.Rows[I]
	record  *I
	states  []state[S]
	out     pelton.Bytes
	scratch []byte
}

func (r *rows[S, I]) begin(count int) {
	r.Session.Start()
	if cap(r.states) < count {
		r.states = make([]state[S], count)
	}
	r.states = r.states[:count]
	clear(r.states)
}

// with lends the state of a key to one step of work.
func (r *rows[S, I]) with(key *Key, cells *pelton.Bytes, work func(*S) error) error {
	s := &r.states[key.index]
	if !s.loaded {
		if err := r.codec.Decode(cells.At(int(key.index)), &s.value); err != nil {
			return pelton.Fatal("%v", err)
		}
		s.loaded, s.deleted = true, cells.Offsets[key.index] == cells.Offsets[key.index+1]
	}
	before, wasDeleted := s.value, s.deleted
	s.deleted, key.deleted = false, false
	err := work(&s.value)
	switch {
	case err != nil:
		s.value, s.deleted = before, wasDeleted
	case key.deleted:
		var zero S
		s.value, s.deleted = zero, true
	}
	return r.Session.Settle(err)
}

// finish writes the states: as they came where nothing looked at them.
func (r *rows[S, I]) finish(cells *pelton.Bytes) (*pelton.Processed, *pelton.Bytes, error) {
	r.out.Reset()
	for i := range r.states {
		s := &r.states[i]
		switch {
		case !s.loaded:
			r.out.Append(cells.At(i))
		case s.deleted:
			r.out.Append(nil)
		default:
			r.scratch = r.codec.Encode(r.scratch[:0], &s.value)
			r.out.Append(r.scratch)
		}
	}
	return r.Session.Finish(), &r.out, nil
}

// Process calls the plugin for each record.
func (r *rows[S, I]) Process(batch *pelton.Batch, states *pelton.Bytes) (*pelton.Processed, *pelton.Bytes, error) {
	r.begin(batch.Keys.Bytes.Len())
	key := &Key{session: &r.Session, keys: &batch.Keys}
	work := func(state *S) error { return r.plugin.Process(key, state, r.record) }
	for row := range batch.Count {
		r.Session.At(row)
		key.index = batch.KeyIndex[row]
		r.rows.Read(batch, row, r.record)
		if err := r.with(key, states, work); err != nil {
			return nil, nil, err
		}
	}
	return r.finish(states)
}

// Fire calls the plugin for each timer.
func (r *rows[S, I]) Fire(due *pelton.DueTimers, states *pelton.Bytes) (*pelton.Processed, *pelton.Bytes, error) {
	r.begin(due.Keys.Bytes.Len())
	firer, is := r.plugin.(Firer[S])
	if !is {
		return r.finish(states)
	}
	key := &Key{session: &r.Session, keys: &due.Keys}
	for i := range due.Key {
		r.Session.At(i)
		key.index = due.Key[i]
		timer := &Timer{due.Tag.Text(i), time.UnixMilli(due.AtMs[i]).UTC(), due.Domain[i] == pelton.InProcessingTime}
		if err := r.with(key, states, func(state *S) error { return firer.Fire(key, state, timer) }); err != nil {
			return nil, nil, err
		}
	}
	return r.finish(states)
}

// Migrate reads an older state and writes it as this version does.
func (r *rows[S, I]) Migrate(_ uint32, old []byte) ([]byte, error) { return r.codec.Renew(old) }
