// Tables of a plugin's state.
//
// The rule: a table is a field of the plugin's struct; its tag `pelton` gives its name, and `prefetch` behind a comma has the host bring the values of a
// call's keys along. Texts and bytes are kept as they are, anything else by pelton.Codec with version 1.
// Left to others: where values are kept (internal/store).

package stateful

import (
	"iter"
	"reflect"
	"strings"
	"unicode"

	"pelton"
	"pelton/internal/store"
)

// values of one type, to bytes and back.
type values[V any] struct {
	table uint32
	codec *pelton.Codec[V]
}

func (v *values[V]) BindField(b *pelton.Binding, field reflect.StructField) error {
	name, options, _ := strings.Cut(field.Tag.Get("pelton"), ",")
	if name == "" {
		name = string(unicode.ToLower(rune(field.Name[0]))) + field.Name[1:]
	}
	v.table = uint32(len(b.Tables))
	table := pelton.Table{Name: name, Prefetch: options == "prefetch", SchemaVersion: max(b.Info.StateVersion, 1)}
	b.Tables = append(b.Tables, table)
	var err error
	if isPlain[V]() {
		return nil
	}
	v.codec, err = pelton.CodecOf[V](table.SchemaVersion)
	return err
}

func isPlain[V any]() bool {
	kind := reflect.TypeFor[V]()
	return kind == reflect.TypeFor[string]() || kind == reflect.TypeFor[[]byte]()
}

func (v *values[V]) encode(value V) []byte {
	switch plain := any(value).(type) {
	case string:
		return []byte(plain)
	case []byte:
		return plain
	}
	return v.codec.Encode(nil, &value)
}

func (v *values[V]) decode(bytes []byte) (value V) {
	switch plain := any(&value).(type) {
	case *string:
		*plain = string(bytes)
	case *[]byte:
		*plain = bytes
	default:
		if err := v.codec.Decode(bytes, &value); err != nil {
			panic(err)
		}
	}
	return value
}

// Table keeps one value a key.
type Table[V any] struct{ values[V] }

// Get is the key's value, and whether there is one.
func (t *Table[V]) Get(key *Key) (value V, is bool) {
	bytes, is := store.Get(t.table, key.index, nil)
	if is {
		value = t.decode(bytes)
	}
	return value, is
}

// Put keeps the key's value.
func (t *Table[V]) Put(key *Key, value V) { store.Put(t.table, key.index, nil, t.encode(value)) }

// Delete forgets the key's value.
func (t *Table[V]) Delete(key *Key) { store.Delete(t.table, key.index, nil) }

// GetAll is the values of all keys of the call at once, by the order of the keys; nil where there is none.
func (t *Table[V]) GetAll(key *Key) []*V {
	all := make([]uint32, key.Others())
	for i := range all {
		all[i] = uint32(i)
	}
	cells, present := store.GetMany(t.table, all)
	found := make([]*V, len(all))
	for i := range found {
		if present[i] != 0 {
			value := t.decode(cells.At(i))
			found[i] = &value
		}
	}
	return found
}

// Map keeps values of a key by sub-key.
type Map[V any] struct{ values[V] }

// Get is a value, and whether there is one.
func (m *Map[V]) Get(key *Key, sub string) (value V, is bool) {
	bytes, is := store.Get(m.table, key.index, []byte(sub))
	if is {
		value = m.decode(bytes)
	}
	return value, is
}

// Put keeps a value.
func (m *Map[V]) Put(key *Key, sub string, value V) {
	store.Put(m.table, key.index, []byte(sub), m.encode(value))
}

// Delete forgets a value.
func (m *Map[V]) Delete(key *Key, sub string) { store.Delete(m.table, key.index, []byte(sub)) }

// All goes through the sub-keys from start up to but without end (empty: to the last), asking for so many at a time.
func (m *Map[V]) All(key *Key, start, end string, page int) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		from := []byte(start)
		for more := true; more; {
			var subs, cells pelton.Bytes
			subs, cells, more = store.Scan(m.table, key.index, from, []byte(end), uint32(page))
			for i := range subs.Len() {
				if !yield(string(subs.At(i)), m.decode(cells.At(i))) {
					return
				}
			}
			if subs.Len() == 0 {
				return
			}
			from = append(append([]byte(nil), subs.At(subs.Len()-1)...), 0)
		}
	}
}
