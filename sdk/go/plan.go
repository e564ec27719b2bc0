// From a struct to columns: which field of the struct is which column.
//
// The rule: reflection happens once, when the plugin registers; after that a cell is one load and one store at a known offset.
// Left to others: moving cells (cells.go), the plugin's own struct (binding.go).

package pelton

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// slot is where a cell lies in a struct. What a record carries beside its fields has an identity and no column.
type slot struct {
	kind     Kind
	identity Identity
	column   int
	value    uintptr
	valid    uintptr
	nullable bool
}

// plan is a struct's columns.
type plan struct {
	fields   []Field
	identity Identity
	slots    []slot
}

// IsNullable tells Null from other structs.
func (Null[T]) isNullable() {}

var (
	nullable   = reflect.TypeFor[interface{ isNullable() }]()
	identities = map[reflect.Type]Identity{
		reflect.TypeFor[PartitionKey](): HasPartitionKey,
		reflect.TypeFor[EventTime]():    HasEventTime,
		reflect.TypeFor[ArrivalTime]():  HasArrivalTime,
		reflect.TypeFor[Position]():     HasPosition,
		reflect.TypeFor[Payload]():      HasPayload,
		reflect.TypeFor[Operation]():    HasOperation,
	}
	kinds = map[reflect.Type]Kind{
		reflect.TypeFor[bool]():      Boolean,
		reflect.TypeFor[int32]():     Int32,
		reflect.TypeFor[int64]():     Int64,
		reflect.TypeFor[float64]():   Float64,
		reflect.TypeFor[string]():    Text,
		reflect.TypeFor[[]byte]():    Binary,
		reflect.TypeFor[Decimal]():   DecimalKind,
		reflect.TypeFor[Timestamp](): TimestampKind,
		reflect.TypeFor[Date]():      DateKind,
		reflect.TypeFor[JSON]():      JSONKind,
	}
)

// planOf reads a struct's declaration.
func planOf(t reflect.Type) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is no struct: rows are structs", t)
	}
	p := &plan{}
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Tag.Get("pelton") == "-" || !field.IsExported() && field.Name != "_" {
			continue
		}
		if err := p.add(t, field); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *plan) add(t reflect.Type, field reflect.StructField) error {
	if identity, is := identities[field.Type]; is {
		p.identity |= identity
		p.slots = append(p.slots, slot{identity: identity, value: field.Offset})
		return nil
	}
	inner, s := field.Type, slot{column: len(p.fields), value: field.Offset}
	if inner.Implements(nullable) {
		s.nullable, s.valid = true, field.Offset+inner.Field(1).Offset
		inner = inner.Field(0).Type
	}
	kind, known := kinds[inner]
	if !known {
		return fmt.Errorf("field %s of %v has the type %v, which no column has: take bool, int32, int64, float64, string, "+
			"[]byte, or Decimal, Timestamp, Date, JSON of package pelton, or Null of one of them", field.Name, t, inner)
	}
	s.kind = kind
	p.slots = append(p.slots, s)
	p.fields = append(p.fields, Field{nameOf(field), kind, s.nullable, field.Tag.Get("doc")})
	return nil
}

// nameOf is the tag `pelton`, or the field's name in snake case.
func nameOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("pelton"), ",")
	if name == "" {
		name = snake(field.Name)
	}
	return name
}

func snake(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			begins := i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
			if begins {
				out.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		out.WriteRune(r)
	}
	return out.String()
}
