// What a plugin says of itself, as the interface `types` has it.
//
// The rule: field for field the manifest of wit/types.wit, with Go's zero values for what is not said.
// Left to others: making it from types (binding.go), writing it across the boundary (internal/wire).

package pelton

// Kind is what the cells of a column are.
type Kind uint8

// The kinds, in the order of the interface.
const (
	Boolean Kind = iota
	Int32
	Int64
	Float64
	Text
	Binary
	DecimalKind
	TimestampKind
	DateKind
	JSONKind
)

// Field is a field that is wanted or made. Path is dotted: `coords.latitude`.
type Field struct {
	Path     string
	Kind     Kind
	Optional bool
	Doc      string
}

// Identity names columns beside the fields; the bits are those of the interface.
type Identity uint8

// The columns beside the fields.
const (
	HasPartitionKey Identity = 1 << iota
	HasEventTime
	HasArrivalTime
	HasPosition
	HasPayload
	HasOperation
)

// Input is what comes in.
type Input struct {
	Name     string
	Identity Identity
	Fields   []Field
	Doc      string
}

// OutputInfo is what goes out.
type OutputInfo struct {
	Name   string
	Fields []Field
	Sets   Identity
	Doc    string
}

// Table is state that the plugin keeps. TTLMs 0 keeps it for ever.
type Table struct {
	Name          string
	Prefetch      bool
	Schema        string
	SchemaVersion uint32
	MigratesFrom  []uint32
	TTLMs         uint64
}

// Connector is a name that requests use and that the job file gives an address to.
type Connector struct{ Name, Doc string }

// Manifest is what a plugin says of itself under one config.
type Manifest struct {
	Name, Version, Doc string
	// ConfigSchema is a JSON Schema, or "" where the plugin takes no config.
	ConfigSchema string
	Inputs       []Input
	Outputs      []OutputInfo
	Key          []Field
	Tables       []Table
	Connectors   []Connector
}
