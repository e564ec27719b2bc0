//go:build wasip1

// What goes out: records for the host to read.
//
// The rule: everything that has its address in a record stays alive until `cabi_post`.
// Left to others: memory (memory_wasm.go).

package wire

import "pelton"

// LowerCells lowers `bytes-column`.
func LowerCells(b *pelton.Bytes) BytesColumn {
	return BytesColumn{Out(b.Data), Out(b.Offsets)}
}

func lowerColumn(c *pelton.Column) Column {
	lowered := Column{Tag: uint8(c.Kind), Null: Out(c.Null), Offsets: List{At: 8}}
	switch c.Kind {
	case pelton.Boolean:
		lowered.Data = Out(c.Bools)
	case pelton.Int32, pelton.DateKind:
		lowered.Data = Out(c.I32)
	case pelton.Int64, pelton.TimestampKind:
		lowered.Data = Out(c.I64)
	case pelton.Float64:
		lowered.Data = Out(c.F64)
	default:
		lowered.Data, lowered.Offsets, lowered.Scale = Out(c.Cells.Data), Out(c.Cells.Offsets), c.Scale
	}
	return lowered
}

// Lower writes `processed`.
func (p *Processed) Lower(from *pelton.Processed) {
	emitted, list := Make[Emitted](len(from.Emitted))
	for i, rows := range from.Emitted {
		fields, fieldList := Make[Column](len(rows.Fields))
		for at := range rows.Fields {
			fields[at] = lowerColumn(&rows.Fields[at])
		}
		emitted[i] = Emitted{
			Output: uint32(rows.Output), Source: Out(rows.Source), PartitionKey: LowerCells(&rows.PartitionKey),
			EventUs: Out(rows.EventUs), Operation: Out(rows.Operation), Payload: LowerCells(&rows.Payload), Fields: fieldList,
		}
	}
	p.Emitted, p.Errors = list, Errors(from.Errors)
	t := &from.Timers
	p.Timers = TimerOps{Out(t.Key), LowerCells(&t.Tag), Out(t.Domain), Out(t.AtMs), Out(t.Set)}
}

// Errors lowers a list of `record-error`.
func Errors(from []pelton.RecordError) List {
	errors, list := Make[RecordError](len(from))
	for i, e := range from {
		errors[i] = RecordError{e.Index, OutText(e.Code), OutText(e.Message)}
	}
	return list
}

// Fail is a result that says a failure.
func Fail(err error) uint32 {
	result, address := New[FailureResult]()
	result.Tag = 1
	failure, is := err.(*pelton.Failure)
	if !is {
		failure = &pelton.Failure{Message: err.Error()}
	}
	if !failure.Retry {
		result.Failure.Tag = 1
	}
	result.Failure.Text = OutText(failure.Message)
	return address
}

// FailText is a result that says an error in words.
func FailText(err error) uint32 {
	result, address := New[ErrorResult]()
	result.Tag, result.Text = 1, OutText(err.Error())
	return address
}

// Give is the result of a call that gives what is processed.
func Give(processed *pelton.Processed, err error) uint32 {
	if err != nil {
		return Fail(err)
	}
	result, address := New[ProcessedResult]()
	result.Processed.Lower(processed)
	return address
}

func lowerFields(from []pelton.Field) List {
	fields, list := Make[Field](len(from))
	for i, f := range from {
		fields[i] = Field{Path: OutText(f.Path), Kind: uint8(f.Kind), Doc: OutText(f.Doc)}
		if f.Optional {
			fields[i].Optional = 1
		}
	}
	return list
}

// Lower writes `manifest`.
func (m *Manifest) Lower(from *pelton.Manifest) {
	inputs, inputList := Make[Input](len(from.Inputs))
	for i, in := range from.Inputs {
		inputs[i] = Input{OutText(in.Name), uint8(in.Identity), lowerFields(in.Fields), OutText(in.Doc)}
	}
	outputs, outputList := Make[Output](len(from.Outputs))
	for i, out := range from.Outputs {
		outputs[i] = Output{OutText(out.Name), lowerFields(out.Fields), uint8(out.Sets), OutText(out.Doc)}
	}
	connectors, connectorList := Make[Connector](len(from.Connectors))
	for i, c := range from.Connectors {
		connectors[i] = Connector{OutText(c.Name), OutText(c.Doc)}
	}
	*m = Manifest{
		Name: OutText(from.Name), Version: OutText(from.Version), Doc: OutText(from.Doc), ConfigSchema: OutText(from.ConfigSchema),
		Inputs: inputList, Outputs: outputList, Key: lowerFields(from.Key), Tables: lowerTables(from.Tables),
		Connectors: connectorList, Annotations: List{At: 8},
	}
}

func lowerTables(from []pelton.Table) List {
	tables, list := Make[Table](len(from))
	for i, t := range from {
		tables[i] = Table{Name: OutText(t.Name), Schema: OutText(t.Schema), SchemaVersion: t.SchemaVersion, MigratesFrom: Out(t.MigratesFrom)}
		if t.Prefetch {
			tables[i].Prefetch = 1
		}
		if t.TTLMs != 0 {
			tables[i].TTL.Tag, tables[i].TTL.Ms = 1, t.TTLMs
		}
	}
	return list
}
