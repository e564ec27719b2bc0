// The plugin `aggregator` of the conformance suite: see sdk/conformance/README.md.
package main

import (
	"math"
	"strings"

	"pelton"
	"pelton/aggregator"
)

func main() {}

func init() {
	aggregator.Register(pelton.Info{Name: "conformance", Doc: "does what a record's op says"}, &Plugin{})
}

type Settings struct {
	Empty bool `json:"empty" doc:"a window whose total is 0 gives no row"`
}

type Record struct {
	Op     string
	Amount pelton.Null[float64]
	Name   pelton.Null[string]
}

type Accumulator struct {
	Records    int64
	Total      float64
	HasAmounts bool
	Least      float64
	Names      []string
}

type Row struct {
	Records int64
	Total   float64
	Least   pelton.Null[float64]
	Names   string
}

type Plugin struct {
	Config Settings
	Out    pelton.Output[Row]
}

func (p *Plugin) Fold(a *Accumulator, r *Record) error {
	switch r.Op {
	case "reject":
		return pelton.Reject("refused", "%s is refused", r.Name.Or("null"))
	case "trap":
		panic("told to trap")
	}
	part := Accumulator{Records: 1, Total: r.Amount.V, HasAmounts: r.Amount.Valid, Least: r.Amount.V}
	if r.Name.Valid {
		part.Names = []string{r.Name.V}
	}
	return p.Combine(a, &part)
}

func (p *Plugin) Combine(into, part *Accumulator) error {
	into.Records += part.Records
	into.Total += part.Total
	switch {
	case part.HasAmounts && into.HasAmounts:
		into.Least = math.Min(into.Least, part.Least)
	case part.HasAmounts:
		into.HasAmounts, into.Least = true, part.Least
	}
	into.Names = append(into.Names, part.Names...)
	return nil
}

func (p *Plugin) Finish(a *Accumulator, _ *aggregator.Window) error {
	if p.Config.Empty && a.Total == 0 {
		return nil
	}
	row := Row{Records: a.Records, Total: a.Total, Names: strings.Join(a.Names, ",")}
	if a.HasAmounts {
		row.Least = pelton.Some(a.Least)
	}
	p.Out.Emit(row)
	return nil
}
