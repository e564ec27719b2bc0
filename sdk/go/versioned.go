// The one value that the worlds `aggregator` and `keyed-transformer` keep: an accumulator, a state.
//
// The rule: it is table 0. A plugin with `Migrate(version uint32, old []byte) (T, error)` reads every version before its own.
// Left to others: values of several tables (package stateful), bytes (codec.go).

package pelton

// Versioned declares the table of a plugin's value and gives its codec. After a mistake in the type, which Describe tells, the codec is of no use.
func Versioned[T any](b *Binding, name string, plugin any) *Codec[T] {
	codec, err := CodecOf[T](b.Info.StateVersion)
	b.Mistake(err)
	table := Table{Name: name, SchemaVersion: max(b.Info.StateVersion, 1)}
	if migrator, is := plugin.(interface {
		Migrate(version uint32, old []byte) (T, error)
	}); is && codec != nil {
		codec.Migrate = migrator.Migrate
		for version := uint32(1); version < table.SchemaVersion; version++ {
			table.MigratesFrom = append(table.MigratesFrom, version)
		}
	}
	b.Tables = append(b.Tables, table)
	return codec
}

// Stored is a value of another version of its table.
type Stored struct {
	Table, Version uint32
	// SubKey is empty where the table has none.
	SubKey []byte
	Value  []byte
	// Keys are those of the call; none in an aggregator.
	Keys *KeySet
	// Key is the value's own among them.
	Key uint32
}

// KeyText is a field of the step's key, of those that Info.Key lists.
func (s *Stored) KeyText(field int) string { return s.Keys.Fields[field].Cells.Text(int(s.Key)) }

// Renew reads a value of any version that the plugin knows and writes it as this version does.
func (c *Codec[T]) Renew(old []byte) ([]byte, error) {
	var value T
	if err := c.Decode(old, &value); err != nil {
		return nil, err
	}
	return c.Encode(nil, &value), nil
}
