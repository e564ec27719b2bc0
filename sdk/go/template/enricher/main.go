// Asks a service for the score of each ad. Edit the structs and the methods; `pelton build` makes the component.
package main

import (
	"net/url"

	"pelton"
	"pelton/enricher"
)

// Click is what is read of a record. Fields that are not named here are not even decoded.
type Click struct {
	Ad string
}

// Scored is what is made of it.
type Scored struct {
	Ad    string
	Score pelton.Null[string]
}

// Plugin has a field for each output, and one for the config if there is one.
type Plugin struct {
	Out pelton.Output[Scored]
}

// Prepare says what is to be asked for a record.
func (p *Plugin) Prepare(ask *enricher.Ask, click *Click) error {
	ask.Get("scores", "/scores/"+url.PathEscape(click.Ad))
	return nil
}

// Complete makes rows of the answers, which come in the order of the questions.
func (p *Plugin) Complete(_ *enricher.Ask, click *Click, answers []enricher.Answer) error {
	answer := &answers[0]
	switch {
	case !answer.IsAnswered() || answer.Status >= 500:
		return pelton.Retry("the scores do not answer")
	case answer.Status == 200:
		p.Out.Emit(Scored{click.Ad, pelton.Some(string(answer.Body))})
	default:
		p.Out.Emit(Scored{Ad: click.Ad})
	}
	return nil
}

var plugin = enricher.New(pelton.Info{Name: "{{name}}"}, &Plugin{}, enricher.Connector("scores", "who knows scores"))

func init() { enricher.RegisterColumns(plugin) }

// A plugin has no program of its own.
func main() {}
