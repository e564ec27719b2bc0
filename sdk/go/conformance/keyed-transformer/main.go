// The plugin `keyed-transformer` of the conformance suite: see sdk/conformance/README.md.
package main

import (
	"time"

	"pelton"
	"pelton/keyed"
)

func main() {}

func init() {
	info := pelton.Info{Name: "conformance", Doc: "does what a record's op says", Key: []pelton.Field{{Path: "key", Kind: pelton.Text}}}
	keyed.Register(info, &Plugin{})
}

type Record struct {
	Op    string
	Value pelton.Null[int64]
}

type State struct{ Count, Total int64 }

type Row struct {
	Key          string
	Count, Total int64
}

type Plugin struct {
	Out pelton.Output[Row]
}

func (p *Plugin) Process(key *keyed.Key, state *State, record *Record) error {
	switch record.Op {
	case "add":
		state.Count++
		state.Total += record.Value.V
		p.emit(key, state)
	case "clear":
		key.Delete()
		p.emit(key, &State{})
	case "timer":
		key.SetTimer("timer", time.UnixMilli(record.Value.V))
	case "reject":
		return pelton.Reject("refused", "%s is refused", key.Text(0))
	case "trap":
		panic("told to trap")
	default:
		return pelton.Reject("unknown_op", "%s", record.Op)
	}
	return nil
}

func (p *Plugin) Fire(key *keyed.Key, state *State, _ *keyed.Timer) error {
	p.emit(key, state)
	return nil
}

func (p *Plugin) emit(key *keyed.Key, state *State) {
	p.Out.Emit(Row{key.Text(0), state.Count, state.Total})
}
