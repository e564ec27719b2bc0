// Readings of at least some value.
package main

import (
	"pelton"
	"pelton/transformer"
)

type Reading struct {
	Device string
	Value  float64
}

type Settings struct {
	AtLeast float64 `json:"at_least" doc:"readings below it are dropped"`
}

type Plugin struct {
	Config Settings
	Kept   pelton.Output[Reading]
}

func (p *Plugin) Process(reading *Reading) error {
	if reading.Value >= p.Config.AtLeast {
		p.Kept.Emit(*reading)
	}
	return nil
}

func init() { transformer.Register(pelton.Info{Name: "filter"}, &Plugin{}) }

func main() {}
