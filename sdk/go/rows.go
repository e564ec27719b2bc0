// Rows of a batch as structs.
//
// The rule: a struct of fields is the whole declaration of an input; text and bytes share the batch's memory and may be kept.
// Left to others: what is done with a row (the packages of worlds).

package pelton

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Rows reads records as structs of type I.
type Rows[I any] struct{ plan *plan }

// RowsOf reads the declaration of I.
func RowsOf[I any]() (*Rows[I], error) {
	plan, err := planOf(reflect.TypeFor[I]())
	if err != nil {
		return nil, err
	}
	return &Rows[I]{plan}, nil
}

// Input is what the manifest says of these rows.
func (r *Rows[I]) Input(name string) Input {
	return Input{Name: name, Identity: r.plan.identity, Fields: r.plan.fields}
}

// Check says whether a batch has the columns of these rows: the host promises it, a test may not.
func (r *Rows[I]) Check(b *Batch) error {
	if len(b.Fields) != len(r.plan.fields) {
		return fmt.Errorf("a batch with %d fields was given, %d were asked for", len(b.Fields), len(r.plan.fields))
	}
	for i := range b.Fields {
		if found, asked := b.Fields[i].Kind, r.plan.fields[i]; found != asked.Kind {
			return fmt.Errorf("field %s came as kind %d, %d was asked for", asked.Path, found, asked.Kind)
		}
	}
	return nil
}

// Read fills a struct with a row.
func (r *Rows[I]) Read(b *Batch, row int, into *I) { r.plan.read(b, row, unsafe.Pointer(into)) }
