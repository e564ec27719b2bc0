// Clicks and turnover of a window. Edit the structs and the three methods; `pelton build` makes the component.
package main

import (
	"math"

	"pelton"
	"pelton/aggregator"
)

// Click is what is read of a record. Fields that are not named here are not even decoded.
type Click struct {
	Amount float64
}

// Total is what is kept of a window.
type Total struct {
	Clicks, Cents int64
}

// Turnover is what a window gives.
type Turnover struct {
	Clicks, Cents int64
}

// Plugin has a field for each output, and one for the config if there is one.
type Plugin struct {
	Out pelton.Output[Turnover]
}

// Fold takes one record more.
func (p *Plugin) Fold(total *Total, click *Click) error {
	if click.Amount < 0 {
		return pelton.Reject("negative_amount", "amount is %v", click.Amount)
	}
	total.Clicks++
	total.Cents += int64(math.Round(click.Amount * 100))
	return nil
}

// Combine takes a part of the same window into another.
func (p *Plugin) Combine(into, part *Total) error {
	into.Clicks += part.Clicks
	into.Cents += part.Cents
	return nil
}

// Finish is called when the window has ended.
func (p *Plugin) Finish(total *Total, _ *aggregator.Window) error {
	p.Out.Emit(Turnover{total.Clicks, total.Cents})
	return nil
}

var plugin = aggregator.New(pelton.Info{Name: "{{name}}"}, &Plugin{})

func init() { aggregator.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
