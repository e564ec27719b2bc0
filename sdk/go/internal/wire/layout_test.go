package wire

import (
	_ "embed"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// Name, size and where each field begins, as the interface has it; a test of the host compares this file with the interface.
//
//go:embed testdata/layout.txt
var layouts string

func TestStructsAreLaidOutAsTheInterfaceIs(t *testing.T) {
	structs := []any{
		BytesColumn{}, OptionalBytes{}, Column{}, KeySet{}, Batch{}, Emitted{}, RecordError{}, TimerOps{}, DueTimers{}, Processed{}, Field{}, Input{},
		Output{}, Table{}, Connector{}, Manifest{},
	}
	lines := strings.Split(strings.TrimSpace(layouts), "\n")
	if len(lines) != len(structs) {
		t.Fatalf("%d structs, %d layouts", len(structs), len(lines))
	}
	for i, one := range structs {
		typ := reflect.TypeOf(one)
		text := fmt.Sprintf("%s %d", typ.Name(), typ.Size())
		for _, offset := range offsets(typ) {
			text += fmt.Sprint(" ", offset)
		}
		if text != lines[i] {
			t.Errorf("found %s, the interface has %s", text, lines[i])
		}
	}
}

// offsets of what the interface calls fields: a call is three of them, a column's values one.
func offsets(typ reflect.Type) (found []uintptr) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		switch {
		case field.Name == "Call":
			found = append(found, field.Offset, field.Offset+8, field.Offset+16)
		case typ.Name() == "Column" && field.Name != "Tag" && field.Name != "Null":
		default:
			found = append(found, field.Offset)
		}
	}
	return found
}
