// Package transformer is the world `transformer`: a record in, none, one or more out.
//
//	type Plugin struct {
//		Config Settings                     // the step's config
//		Sales  pelton.Output[Sale]          // an output
//	}
//
//	func (p *Plugin) Process(click *Click) error {
//		p.Sales.Emit(Sale{Ad: click.Ad})
//		return nil
//	}
//
//	func init() { transformer.Register(pelton.Info{Name: "sales"}, &Plugin{}) }
//
// The rule: Process is called for each record in order; an error refuses that record alone and takes back what it emitted.
// Left to others: bytes (internal/wire).
package transformer

import "pelton"

// Plugin processes records as structs of type I. The struct behind *I is used again for the next record.
type Plugin[I any] interface{ Process(record *I) error }

// Columns is a plugin that works on columns: for fields that the config names, and where nanoseconds count.
type Columns interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
	// Process may use what comes in only for reading. What it gives is read before the next call.
	Process(batch *pelton.Batch) (*pelton.Processed, error)
}

// New makes a plugin of rows one of columns. The plugin may also have `Init() error`, called when the config is known, and
// `Describe(*pelton.Manifest) error`, which may change what the plugin says of itself.
func New[I any](info pelton.Info, plugin Plugin[I]) Columns {
	binding := pelton.Bind(info, plugin)
	return &rows[I]{binding, plugin, pelton.AddInput[I](binding, "in"), new(I)}
}

// Register makes it the plugin of this program.
func Register[I any](info pelton.Info, plugin Plugin[I]) { RegisterColumns(New(info, plugin)) }

type rows[I any] struct {
	*pelton.Binding
	plugin Plugin[I]
	rows   *pelton.Rows[I]
	record *I
}

// Process calls the plugin for each record.
func (r *rows[I]) Process(batch *pelton.Batch) (*pelton.Processed, error) {
	session := &r.Session
	session.Start()
	for row := range batch.Count {
		session.At(row)
		r.rows.Read(batch, row, r.record)
		if err := r.plugin.Process(r.record); err != nil {
			if err := session.Settle(err); err != nil {
				return nil, err
			}
		}
	}
	return session.Finish(), nil
}
