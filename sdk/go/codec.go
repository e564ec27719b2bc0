// Accumulators and states as bytes.
//
// The rule: a version byte in front, then the fields in order: numbers in eight bytes, little end first, texts and lists behind their count, maps by rising
// key; the same value gives the same bytes. A change of the type needs a new version.
// Left to others: where the bytes are kept (the host).

package pelton

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sort"
)

// Codec turns values of type T into bytes and back.
type Codec[T any] struct {
	version uint32
	// Migrate reads what an older version wrote, without its version byte; nil refuses it.
	Migrate func(version uint32, old []byte) (T, error)
}

// CodecOf makes a codec; the version is at most 255.
func CodecOf[T any](version uint32) (*Codec[T], error) {
	if version == 0 {
		version = 1
	}
	if version > 255 {
		return nil, fmt.Errorf("version %d of %v: the most is 255", version, reflect.TypeFor[T]())
	}
	return &Codec[T]{version: version}, checkType(reflect.TypeFor[T]())
}

func checkType(t reflect.Type) error {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Slice, reflect.Array:
		return checkType(t.Elem())
	case reflect.Map:
		return errors.Join(checkType(t.Key()), checkType(t.Elem()))
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			if !field.IsExported() {
				return fmt.Errorf("field %s of %v is not exported, so it cannot be kept", field.Name, t)
			}
			if err := checkType(field.Type); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%v cannot be kept: take numbers, texts, structs, lists and maps of them", t)
}

// Version is the schema version that is written.
func (c *Codec[T]) Version() uint32 { return c.version }

// Encode appends a value.
func (c *Codec[T]) Encode(to []byte, value *T) []byte {
	return encode(append(to, byte(c.version)), reflect.ValueOf(value).Elem())
}

// Decode reads a value; no bytes are the zero value.
func (c *Codec[T]) Decode(bytes []byte, into *T) error {
	var zero T
	*into = zero
	if len(bytes) == 0 {
		return nil
	}
	if found := uint32(bytes[0]); found != c.version {
		if c.Migrate == nil {
			return fmt.Errorf("what is kept has the version %d, this plugin reads %d", found, c.version)
		}
		migrated, err := c.Migrate(found, bytes[1:])
		*into = migrated
		return err
	}
	r := &reader{rest: bytes[1:]}
	r.value(reflect.ValueOf(into).Elem())
	if r.failed || len(r.rest) != 0 {
		return fmt.Errorf("%d bytes are no %v of version %d", len(bytes), reflect.TypeFor[T](), c.version)
	}
	return nil
}

func encode(to []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(to, 1)
		}
		return append(to, 0)
	case reflect.String:
		to = binary.AppendUvarint(to, uint64(v.Len()))
		return append(to, v.String()...)
	case reflect.Float32, reflect.Float64:
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(v.Float()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.LittleEndian.AppendUint64(to, uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.LittleEndian.AppendUint64(to, v.Uint())
	case reflect.Slice:
		to = binary.AppendUvarint(to, uint64(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(to, v.Bytes()...)
		}
		return encodeAll(to, v)
	case reflect.Array:
		return encodeAll(to, v)
	case reflect.Map:
		return encodeMap(to, v)
	case reflect.Struct:
		for i := range v.NumField() {
			to = encode(to, v.Field(i))
		}
	}
	return to
}

func encodeAll(to []byte, v reflect.Value) []byte {
	for i := range v.Len() {
		to = encode(to, v.Index(i))
	}
	return to
}

func encodeMap(to []byte, v reflect.Value) []byte {
	type entry struct {
		key   []byte
		value reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for keys := v.MapRange(); keys.Next(); {
		entries = append(entries, entry{encode(nil, keys.Key()), keys.Value()})
	}
	sort.Slice(entries, func(a, b int) bool { return string(entries[a].key) < string(entries[b].key) })
	to = binary.AppendUvarint(to, uint64(len(entries)))
	for _, e := range entries {
		to = encode(append(to, e.key...), e.value)
	}
	return to
}

type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(count uint64) []byte {
	if r.failed || count > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	taken := r.rest[:count]
	r.rest = r.rest[count:]
	return taken
}

func (r *reader) word() uint64 {
	if bytes := r.take(8); bytes != nil {
		return binary.LittleEndian.Uint64(bytes)
	}
	return 0
}

// count of elements, of which each takes at least a byte unless it is an empty struct.
func (r *reader) count() uint64 {
	count, length := binary.Uvarint(r.rest)
	if length <= 0 || count > uint64(len(r.rest)) {
		r.failed = true
		return 0
	}
	r.take(uint64(length))
	return count
}

func (r *reader) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		if bytes := r.take(1); bytes != nil {
			v.SetBool(bytes[0] != 0)
		}
	case reflect.String:
		v.SetString(string(r.take(r.count())))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(math.Float64frombits(r.word()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.word()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.word())
	case reflect.Slice:
		r.slice(v)
	case reflect.Array:
		for i := range v.Len() {
			r.value(v.Index(i))
		}
	case reflect.Map:
		r.dictionary(v)
	case reflect.Struct:
		for i := range v.NumField() {
			r.value(v.Field(i))
		}
	}
}

func (r *reader) slice(v reflect.Value) {
	count := r.count()
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(append([]byte(nil), r.take(count)...))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), int(count), int(count)))
	for i := range int(count) {
		r.value(v.Index(i))
	}
}

func (r *reader) dictionary(v reflect.Value) {
	count := r.count()
	v.Set(reflect.MakeMapWithSize(v.Type(), int(count)))
	for range count {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		r.value(key)
		r.value(value)
		v.SetMapIndex(key, value)
	}
}
