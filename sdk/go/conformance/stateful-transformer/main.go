// The plugin `stateful-transformer` of the conformance suite: see sdk/conformance/README.md.
package main

import (
	"fmt"
	"time"

	"pelton"
	"pelton/stateful"
)

func main() {}

func init() {
	info := pelton.Info{Name: "conformance", Doc: "does what a record's op says", Key: []pelton.Field{{Path: "key", Kind: pelton.Text}}}
	stateful.Register(info, &Plugin{Config: Settings{Version: 1}},
		stateful.Input("left", (*Plugin).Left), stateful.Input("right", (*Plugin).Right))
}

type Settings struct {
	Version uint32 `json:"version" doc:"schema version of the table values"`
}

type Record struct {
	Op    string
	Name  pelton.Null[string]
	Value pelton.Null[int64]
	Text  pelton.Null[string]
}

type Row struct {
	Key    string
	What   string
	Text   pelton.Null[string]
	Number pelton.Null[int64]
}

type Plugin struct {
	Config Settings
	Values stateful.Table[[]byte] `pelton:"values,prefetch"`
	Lists  stateful.Map[string]   `pelton:"lists"`
	Out    pelton.Output[Row]
}

// Describe raises the version of the first table as the config says.
func (p *Plugin) Describe(m *pelton.Manifest) error {
	m.Tables = append([]pelton.Table(nil), m.Tables...)
	if p.Config.Version == 2 {
		m.Tables[0].SchemaVersion, m.Tables[0].MigratesFrom = 2, []uint32{1}
	}
	return nil
}

// Migrate puts the byte 02 before a text of version 1.
func (p *Plugin) Migrate(old *pelton.Stored) ([]byte, bool, error) {
	if old.Table != 0 || old.Version != 1 {
		return nil, false, fmt.Errorf("table %d has no version %d", old.Table, old.Version)
	}
	if string(old.Value) == "bad" {
		return nil, false, pelton.Reject("not_migrated", "bad is refused")
	}
	return append([]byte{2}, old.Value...), true, nil
}

func (p *Plugin) Left(key *stateful.Key, r *Record) error  { return p.process(key, r, "left") }
func (p *Plugin) Right(key *stateful.Key, r *Record) error { return p.process(key, r, "right") }

func (p *Plugin) process(key *stateful.Key, r *Record, side string) error {
	at := time.UnixMilli(r.Value.V)
	switch r.Op {
	case "put":
		p.put(key, r.Text.V)
	case "get":
		value, is := p.get(key)
		p.Out.Emit(Row{key.Text(0), "get", pelton.Null[string]{V: value, Valid: is}, pelton.Null[int64]{}})
	case "delete":
		p.Values.Delete(key)
	case "push":
		p.Lists.Put(key, r.Name.V, r.Text.V)
	case "pull":
		value, is := p.Lists.Get(key, r.Name.V)
		p.Out.Emit(Row{key.Text(0), "pull", pelton.Null[string]{V: value, Valid: is}, pelton.Null[int64]{}})
	case "remove":
		p.Lists.Delete(key, r.Name.V)
	case "scan":
		for sub, text := range p.Lists.All(key, r.Name.V, "", int(r.Value.Or(100))) {
			p.Out.Emit(Row{Key: key.Text(0), What: sub, Text: pelton.Some(text)})
		}
	case "many":
		count := int64(0)
		for _, value := range p.Values.GetAll(key) {
			if value != nil {
				count++
			}
		}
		p.Out.Emit(Row{Key: key.Text(0), What: "many", Number: pelton.Some(count)})
	case "watermark":
		number := pelton.Null[int64]{}
		if at, is := pelton.Watermark(); is {
			number = pelton.Some(at.UnixMilli())
		}
		p.Out.Emit(Row{Key: key.Text(0), What: "watermark", Number: number})
	case "timer":
		key.SetTimer(r.Name.V, at)
	case "clock":
		key.SetClock(r.Name.V, at)
	case "cancel":
		key.CancelTimer(r.Name.V)
	case "side":
		p.Out.Emit(Row{Key: key.Text(0), What: side})
	case "reject":
		p.put(key, r.Text.V)
		return pelton.Reject("refused", "%s is refused", r.Name.Or("null"))
	case "late":
		p.Out.Emit(Row{Key: key.Text(0), What: "late"})
		p.put(key, r.Text.V)
		key.SetTimer(r.Name.V, at)
		return pelton.Reject("refused", "%s is refused", r.Name.Or("null"))
	case "trap":
		p.put(key, r.Text.V)
		panic("told to trap")
	default:
		return pelton.Reject("unknown_op", "%s", r.Op)
	}
	return nil
}

// Fire tells that a timer fired; one with the tag `again` sets itself once more while the key has a value.
func (p *Plugin) Fire(key *stateful.Key, timer *stateful.Timer) error {
	p.Out.Emit(Row{key.Text(0), "fired", pelton.Some(timer.Tag), pelton.Some(timer.At.UnixMilli())})
	if _, is := p.Values.Get(key); is && timer.Tag == "again" {
		if timer.InProcessingTime {
			key.SetClock(timer.Tag, timer.At.Add(time.Second))
		} else {
			key.SetTimer(timer.Tag, timer.At.Add(time.Second))
		}
	}
	return nil
}

func (p *Plugin) put(key *stateful.Key, text string) {
	var value []byte
	if p.Config.Version == 2 {
		value = []byte{2}
	}
	p.Values.Put(key, append(value, text...))
}

func (p *Plugin) get(key *stateful.Key) (string, bool) {
	value, is := p.Values.Get(key)
	if is && p.Config.Version == 2 {
		value = value[1:]
	}
	return string(value), is
}
