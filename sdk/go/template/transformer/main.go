// Clicks that are worth something, in cents. Edit the structs and Process; `pelton build` makes the component.
package main

import (
	"fmt"
	"math"

	"pelton"
	"pelton/transformer"
)

// Click is what is read of a record. Fields that are not named here are not even decoded.
type Click struct {
	Ad     string
	Amount float64
}

// Sale is what is made of it.
type Sale struct {
	Ad    string
	Cents int64
}

// Settings are the `config:` of the step.
type Settings struct {
	Least float64 `json:"least" doc:"clicks worth less than this are dropped"`
}

// Plugin has a field for the config and one for each output.
type Plugin struct {
	Config Settings
	Sales  pelton.Output[Sale]
}

// Init is called when the config is known.
func (p *Plugin) Init() error {
	if p.Config.Least < 0 {
		return fmt.Errorf("`least` is %v; it must not be negative", p.Config.Least)
	}
	return nil
}

// Process is called for each record.
func (p *Plugin) Process(click *Click) error {
	if click.Amount < 0 {
		return pelton.Reject("negative_amount", "amount is %v", click.Amount)
	}
	if click.Amount >= p.Config.Least {
		p.Sales.Emit(Sale{click.Ad, int64(math.Round(click.Amount * 100))})
	}
	return nil // neither emitted nor rejected: dropped
}

var plugin = transformer.New(pelton.Info{Name: "{{name}}"}, &Plugin{Config: Settings{Least: 0.01}})

func init() { transformer.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
