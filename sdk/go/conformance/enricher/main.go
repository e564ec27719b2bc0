// The plugin `enricher` of the conformance suite: see sdk/conformance/README.md.
package main

import (
	"encoding/json"
	"net/url"

	"pelton"
	"pelton/enricher"
)

func main() {}

func init() {
	info := pelton.Info{Name: "conformance", Doc: "does what a record's op says"}
	enricher.Register(info, &Plugin{}, enricher.Connector("scores", "who knows scores"))
}

type Record struct {
	Op    string
	Name  pelton.Null[string]
	Value pelton.Null[int64]
}

type Row struct {
	Name   pelton.Null[string]
	Status pelton.Null[int32]
	Text   pelton.Null[string]
	Rounds int32
}

type Plugin struct {
	Out pelton.Output[Row]
}

func path(name string) string { return "/scores/" + url.PathEscape(name) }

func (p *Plugin) Prepare(ask *enricher.Ask, r *Record) error {
	switch r.Op {
	case "ask", "twice":
		ask.Get("scores", path(r.Name.V))
	case "post":
		body, _ := json.Marshal(struct {
			Name  *string `json:"name"`
			Value *int64  `json:"value"`
		}{pointer(r.Name), pointer(r.Value)})
		ask.Post("scores", "/scores", "application/json", body)
	case "pass":
	case "reject":
		return pelton.Reject("refused", "%s is refused", r.Name.Or("null"))
	default:
		return pelton.Reject("unknown_op", "%s", r.Op)
	}
	return nil
}

func pointer[T any](value pelton.Null[T]) *T {
	if !value.Valid {
		return nil
	}
	return &value.V
}

func (p *Plugin) Complete(ask *enricher.Ask, r *Record, answers []enricher.Answer) error {
	if r.Op == "pass" {
		p.Out.Emit(Row{Name: r.Name})
		return nil
	}
	answer := &answers[0]
	if r.Op == "twice" && ask.Round == 1 && answer.Status == 200 {
		ask.Get("scores", path(string(answer.Body)))
		return nil
	}
	row := Row{Name: r.Name, Rounds: int32(ask.Round)}
	switch {
	case answer.TimedOut:
		row.Text = pelton.Some("timed out")
	case !answer.IsAnswered():
		row.Text = pelton.Some("failed: " + answer.Failed)
	default:
		row.Status, row.Text = pelton.Some(int32(answer.Status)), pelton.Some(string(answer.Body))
	}
	p.Out.Emit(row)
	return nil
}
