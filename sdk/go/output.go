// What a plugin gives: rows of its outputs, refused records, timers.
//
// The rule: a row belongs to the record at hand, so that nobody counts indices; the rows of a record that is refused are taken back, its timers stay:
// they belong to the key. Columns keep their memory from call to call.
// Left to others: which records (the packages of worlds).

package pelton

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Output is a declared output: a field of the plugin's struct, named by its tag `pelton` or its own name in snake case.
type Output[T any] struct{ emitter *emitter }

// Emit gives a row that comes from the record at hand.
func (o *Output[T]) Emit(row T) { o.emitter.emit(unsafe.Pointer(&row)) }

// BindField makes it known to its plugin; Bind calls it.
func (o *Output[T]) BindField(b *Binding, field reflect.StructField) error {
	plan, err := planOf(reflect.TypeFor[T]())
	if err != nil {
		return err
	}
	if plan.identity&(HasArrivalTime|HasPosition) != 0 {
		return fmt.Errorf("output %s sets the arrival time or the position, which only the host knows", field.Name)
	}
	o.emitter = b.Session.output(plan)
	info := OutputInfo{Name: nameOf(field), Fields: plan.fields, Sets: plan.identity, Doc: field.Tag.Get("doc")}
	b.Outputs = append(b.Outputs, info)
	return nil
}

// emitter collects the rows of one output.
type emitter struct {
	plan    *plan
	rows    Emitted
	session *Session
}

func (e *emitter) emit(row unsafe.Pointer) {
	e.rows.Source = append(e.rows.Source, e.session.source)
	e.plan.append(&e.rows, row)
}

func (e *emitter) reset() {
	rows := &e.rows
	rows.Source, rows.EventUs, rows.Operation = rows.Source[:0], rows.EventUs[:0], rows.Operation[:0]
	for i := range rows.Fields {
		rows.Fields[i].Reset()
	}
	// A column that is not set has no offsets at all.
	if e.plan.identity&HasPartitionKey != 0 {
		rows.PartitionKey.Reset()
	}
	if e.plan.identity&HasPayload != 0 {
		rows.Payload.Reset()
	}
}

func (e *emitter) truncate(count int) {
	rows := &e.rows
	rows.Source = rows.Source[:count]
	for i := range rows.Fields {
		rows.Fields[i].truncate(count)
	}
	if e.plan.identity&HasPartitionKey != 0 {
		rows.PartitionKey.truncate(count)
	}
	if e.plan.identity&HasPayload != 0 {
		rows.Payload.truncate(count)
	}
	if e.plan.identity&HasEventTime != 0 {
		rows.EventUs = rows.EventUs[:count]
	}
	if e.plan.identity&HasOperation != 0 {
		rows.Operation = rows.Operation[:count]
	}
}

// Session is the results of the call at hand.
type Session struct {
	source    uint32
	emitters  []*emitter
	processed Processed
}

func (s *Session) output(plan *plan) *emitter {
	e := &emitter{plan: plan, session: s}
	e.rows.Output = len(s.emitters)
	for _, field := range plan.fields {
		e.rows.Fields = append(e.rows.Fields, Column{Kind: field.Kind})
	}
	s.emitters = append(s.emitters, e)
	return e
}

// Start begins a call.
func (s *Session) Start() {
	for _, e := range s.emitters {
		e.reset()
	}
	p := &s.processed
	p.Emitted, p.Errors = p.Emitted[:0], p.Errors[:0]
	t := &p.Timers
	t.Key, t.Domain, t.AtMs, t.Set = t.Key[:0], t.Domain[:0], t.AtMs[:0], t.Set[:0]
	t.Tag = Bytes{t.Tag.Data[:0], t.Tag.Offsets[:0]}
}

// At says which record, group or timer is at hand.
func (s *Session) At(source int) { s.source = uint32(source) }

// Settle deals with what the plugin's method returned: a refused record gives its error and no rows; a failure comes back.
func (s *Session) Settle(err error) error {
	if err == nil {
		return nil
	}
	rejection, failure := Refused(err)
	if failure != nil {
		return failure
	}
	s.TakeBack()
	s.processed.Errors = append(s.processed.Errors, RecordError{s.source, rejection.Code, rejection.Message})
	return nil
}

// TakeBack takes back the rows of what is at hand.
func (s *Session) TakeBack() {
	for _, e := range s.emitters {
		count := len(e.rows.Source)
		for count > 0 && e.rows.Source[count-1] == s.source {
			count--
		}
		if count < len(e.rows.Source) {
			e.truncate(count)
		}
	}
}

// Timer sets or cancels a timer.
func (s *Session) Timer(key uint32, tag string, domain TimeDomain, atMs int64, set bool) {
	t := &s.processed.Timers
	t.Key = append(t.Key, key)
	t.Tag.AppendText(tag)
	t.Domain = append(t.Domain, domain)
	t.AtMs = append(t.AtMs, atMs)
	bit := byte(0)
	if set {
		bit = 1
	}
	t.Set = append(t.Set, bit)
}

// Finish ends a call: the results, in memory that the next call takes again.
func (s *Session) Finish() *Processed {
	for _, e := range s.emitters {
		if len(e.rows.Source) == 0 {
			continue
		}
		for i := range e.rows.Fields {
			e.rows.Fields[i].Finish()
		}
		s.processed.Emitted = append(s.processed.Emitted, &e.rows)
	}
	return &s.processed
}
