// The largest click of each ad so far, each time there is a larger one, and a word when an ad was quiet for a minute. Edit the structs and the methods;
// `pelton build` makes the component.
package main

import (
	"time"

	"pelton"
	"pelton/stateful"
)

// Click is what is read of a record. Fields that are not named here are not even decoded.
type Click struct {
	Amount float64
	At     pelton.EventTime
}

// Row is what is given.
type Row struct {
	Ad     string
	What   string
	Amount pelton.Null[float64]
}

// Plugin has a field for each table of its state and for each output.
type Plugin struct {
	Largest stateful.Table[float64] `pelton:"largest,prefetch"`
	Out     pelton.Output[Row]
}

// Click is called for each record of the input `clicks`.
func (p *Plugin) Click(key *stateful.Key, click *Click) error {
	if click.Amount < 0 {
		return pelton.Reject("negative_amount", "amount is %v", click.Amount)
	}
	if largest, is := p.Largest.Get(key); !is || click.Amount > largest {
		p.Largest.Put(key, click.Amount)
		p.Out.Emit(Row{key.Text(0), "largest", pelton.Some(click.Amount)})
	}
	key.SetTimer("quiet", pelton.Timestamp(click.At).Time().Add(time.Minute))
	return nil
}

// Fire is called when a timer is due.
func (p *Plugin) Fire(key *stateful.Key, timer *stateful.Timer) error {
	p.Out.Emit(Row{Ad: key.Text(0), What: timer.Tag})
	return nil
}

var plugin = stateful.New(pelton.Info{Name: "{{name}}", Key: []pelton.Field{{Path: "ad", Kind: pelton.Text}}}, &Plugin{},
	stateful.Input("clicks", (*Plugin).Click))

func init() { stateful.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
