// A plugin's struct, read: its config, its outputs, its tables.
//
// The rule: what the struct declares is what the manifest says; a mistake in it is said when the plugin is described, not when it runs.
// Left to others: the methods, which the packages of worlds know.

package pelton

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// Bindable is a field of a plugin's struct that the manifest knows: an output, a table.
type Bindable interface {
	BindField(b *Binding, field reflect.StructField) error
}

// Binding is what a plugin declares, and the results of its calls.
type Binding struct {
	Info       Info
	Session    Session
	Inputs     []Input
	Outputs    []OutputInfo
	Tables     []Table
	Connectors []Connector
	plugin     any
	config     reflect.Value
	defaults   reflect.Value
	// mistake of the declaration
	mistake error
}

// Bind reads a pointer to a plugin's struct. Its field `Config`, if it has one, takes the step's config; what it holds now are the defaults.
func Bind(info Info, plugin any) *Binding {
	b := &Binding{Info: info, plugin: plugin}
	value := reflect.ValueOf(plugin)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		b.Mistake(fmt.Errorf("a plugin is a pointer to a struct, not %T", plugin))
		return b
	}
	value = value.Elem()
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		if field.Name == "Config" {
			b.config = value.Field(i)
			b.defaults = reflect.New(field.Type).Elem()
			b.defaults.Set(b.config)
		} else if bound, is := value.Field(i).Addr().Interface().(Bindable); is {
			b.Mistake(bound.BindField(b, field))
		}
	}
	return b
}

// Mistake notes what is wrong with the declaration; the first is told.
func (b *Binding) Mistake(err error) {
	if b.mistake == nil {
		b.mistake = err
	}
}

// AddInput declares an input of these rows.
func AddInput[I any](b *Binding, name string) *Rows[I] {
	rows, err := RowsOf[I]()
	if err != nil {
		b.Mistake(err)
		return &Rows[I]{&plan{}}
	}
	b.Inputs = append(b.Inputs, rows.Input(name))
	return rows
}

// Describe is the manifest under a config.
func (b *Binding) Describe(config string) (*Manifest, error) {
	if b.mistake != nil {
		return nil, b.mistake
	}
	if err := b.configure(config); err != nil {
		return nil, err
	}
	m := &Manifest{
		Name: b.Info.Name, Version: b.Info.Version, Doc: b.Info.Doc, Inputs: b.Inputs, Outputs: b.Outputs, Key: b.Info.Key,
		Tables: b.Tables, Connectors: b.Connectors,
	}
	if m.Version == "" {
		m.Version = "0.1.0"
	}
	if b.config.IsValid() {
		m.ConfigSchema = schemaOf(b.defaults)
	}
	if describer, is := b.plugin.(interface{ Describe(*Manifest) error }); is {
		return m, describer.Describe(m)
	}
	return m, nil
}

// Init configures the plugin.
func (b *Binding) Init(context Context) error { return b.configure(context.Config) }

func (b *Binding) configure(text string) error {
	if b.config.IsValid() {
		b.config.Set(b.defaults)
		if err := strict(text, b.config.Addr().Interface()); err != nil {
			return err
		}
	} else if !isNothing(text) {
		return fmt.Errorf("%s takes no config: leave `config:` out", b.Info.Name)
	}
	if starter, is := b.plugin.(interface{ Init() error }); is {
		return starter.Init()
	}
	return nil
}

func isNothing(text string) bool {
	text = string(bytes.TrimSpace([]byte(text)))
	return text == "" || text == "{}" || text == "null"
}

func strict(text string, into any) error {
	if isNothing(text) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("config: more than one JSON value")
	}
	return nil
}
