// Clicks and turnover of each key so far. Edit the structs and Process; `pelton build` makes the component.
package main

import (
	"math"

	"pelton"
	"pelton/keyed"
)

// Click is what is read of a record. Fields that are not named here are not even decoded.
type Click struct {
	Amount float64
}

// State is what is kept of a key.
type State struct {
	Clicks, Cents int64
}

// Row is what each click gives.
type Row struct {
	Ad            string
	Clicks, Cents int64
}

// Plugin has a field for each output, and one for the config if there is one.
type Plugin struct {
	Out pelton.Output[Row]
}

// Process is called for each record with the state of its key.
func (p *Plugin) Process(key *keyed.Key, state *State, click *Click) error {
	if click.Amount < 0 {
		return pelton.Reject("negative_amount", "amount is %v", click.Amount)
	}
	state.Clicks++
	state.Cents += int64(math.Round(click.Amount * 100))
	p.Out.Emit(Row{key.Text(0), state.Clicks, state.Cents})
	return nil
}

var plugin = keyed.New(pelton.Info{Name: "{{name}}", Key: []pelton.Field{{Path: "ad", Kind: pelton.Text}}}, &Plugin{})

func init() { keyed.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
