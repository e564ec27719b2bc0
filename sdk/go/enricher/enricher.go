// Package enricher is the world `enricher`: a plugin says what to ask, the host asks, and the plugin makes rows of the answers.
//
//	type Plugin struct{ Out pelton.Output[Row] }
//
//	func (p *Plugin) Prepare(ask *enricher.Ask, record *Record) error { ask.Get("scores", "/scores/"+record.Name); return nil }
//
//	func (p *Plugin) Complete(ask *enricher.Ask, record *Record, answers []enricher.Answer) error {
//		p.Out.Emit(Row{Name: record.Name, Score: string(answers[0].Body)})
//		return nil
//	}
//
//	func init() { enricher.Register(pelton.Info{Name: "scores"}, &Plugin{}, enricher.Connector("scores", "who knows scores")) }
//
// The rule: Complete is called once for each record with the answers to what Prepare asked for it, in that order; when it asks again, the record's rows
// are taken back, and it is called once more with the new answers. A record that is refused in Prepare is refused in the completion.
// Left to others: addresses and credentials, which the job file gives to a connector's name.
package enricher

import (
	"encoding/binary"

	"pelton"
)

// Plugin asks for records of type I.
type Plugin[I any] interface {
	Prepare(ask *Ask, record *I) error
	Complete(ask *Ask, record *I, answers []Answer) error
}

// Header of a request or an answer.
type Header struct{ Name, Value string }

// Request is what the host is to ask.
type Request struct {
	Row                     uint32
	Cookie                  []byte
	Connector, Method, Path string
	Headers                 []Header
	Body                    []byte
}

// Answer to a request: Failed says why there is none, TimedOut that none came in time.
type Answer struct {
	Row      uint32
	Cookie   []byte
	Status   uint16
	Headers  []Header
	Body     []byte
	Failed   string
	TimedOut bool
}

// IsAnswered says whether there is an answer, whatever its status.
func (a *Answer) IsAnswered() bool { return a.Failed == "" && !a.TimedOut }

// Ask collects what the record at hand asks for.
type Ask struct {
	// Round is 0 in Prepare, 1 in the first Complete, and one more with each further one.
	Round    int
	row      uint32
	requests []Request
	nth      uint16
}

// Get asks for a path.
func (a *Ask) Get(connector, path string) {
	a.Request(Request{Connector: connector, Method: "GET", Path: path})
}

// Post gives a body and asks for what is answered.
func (a *Ask) Post(connector, path, contentType string, body []byte) {
	a.Request(Request{Connector: connector, Method: "POST", Path: path, Headers: []Header{{"content-type", contentType}}, Body: body})
}

// Request asks for anything; its row and cookie are set here.
func (a *Ask) Request(request Request) {
	request.Row = a.row
	cookie := binary.LittleEndian.AppendUint16(nil, uint16(a.Round))
	request.Cookie = binary.LittleEndian.AppendUint16(cookie, a.nth)
	a.nth++
	a.requests = append(a.requests, request)
}

// ConnectorOf is a declared name.
type ConnectorOf pelton.Connector

// Connector declares a name that requests use and that the job file gives an address to.
func Connector(name, doc string) ConnectorOf { return ConnectorOf{Name: name, Doc: doc} }

// Columns is a plugin that works on columns. What it gives is read before the next call.
type Columns interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
	Prepare(batch *pelton.Batch) ([]Request, error)
	Complete(batch *pelton.Batch, answers []Answer) (*pelton.Processed, []Request, error)
}

// New makes a plugin of rows one of columns. The plugin may also have `Init() error` and `Describe(*pelton.Manifest) error`.
func New[I any](info pelton.Info, plugin Plugin[I], connectors ...ConnectorOf) Columns {
	binding := pelton.Bind(info, plugin)
	for _, connector := range connectors {
		binding.Connectors = append(binding.Connectors, pelton.Connector(connector))
	}
	return &rows[I]{binding, plugin, pelton.AddInput[I](binding, "in"), new(I)}
}

// Register makes it the plugin of this program.
func Register[I any](info pelton.Info, plugin Plugin[I], connectors ...ConnectorOf) {
	RegisterColumns(New(info, plugin, connectors...))
}

type rows[I any] struct {
	*pelton.Binding
	plugin Plugin[I]
	rows   *pelton.Rows[I]
	record *I
}

// Prepare asks for each record. What it refuses asks nothing here, and is refused again in the completion, where errors can be told.
func (r *rows[I]) Prepare(batch *pelton.Batch) ([]Request, error) {
	ask := &Ask{}
	for row := range batch.Count {
		ask.row, ask.nth = uint32(row), 0
		r.rows.Read(batch, row, r.record)
		before := len(ask.requests)
		if err := r.plugin.Prepare(ask, r.record); err != nil {
			if _, failure := pelton.Refused(err); failure != nil {
				return nil, failure
			}
			ask.requests = ask.requests[:before]
		}
	}
	return ask.requests, nil
}

// Complete calls the plugin for each record with its answers.
func (r *rows[I]) Complete(batch *pelton.Batch, answers []Answer) (*pelton.Processed, []Request, error) {
	session := &r.Session
	session.Start()
	ofRow := make([][]Answer, batch.Count)
	for _, answer := range answers {
		ofRow[answer.Row] = insert(ofRow[answer.Row], answer)
	}
	ask := &Ask{}
	for row := range batch.Count {
		session.At(row)
		r.rows.Read(batch, row, r.record)
		before := len(ask.requests)
		err := r.one(ask, row, ofRow[row])
		if err != nil {
			ask.requests = ask.requests[:before]
		} else if len(ask.requests) > before {
			session.TakeBack()
		}
		if err := session.Settle(err); err != nil {
			return nil, nil, err
		}
	}
	return session.Finish(), ask.requests, nil
}

func (r *rows[I]) one(ask *Ask, row int, answers []Answer) error {
	if len(answers) == 0 {
		// Nothing was asked, perhaps because the record was refused: ask again to know.
		if err := r.plugin.Prepare(&Ask{}, r.record); err != nil {
			return err
		}
	}
	round := 0
	if len(answers) > 0 {
		round = int(binary.LittleEndian.Uint16(answers[0].Cookie))
	}
	ask.row, ask.nth, ask.Round = uint32(row), 0, round+1
	return r.plugin.Complete(ask, r.record, answers)
}

// insert keeps answers in the order of their questions.
func insert(answers []Answer, answer Answer) []Answer {
	nth := func(a *Answer) uint16 { return binary.LittleEndian.Uint16(a.Cookie[2:]) }
	answers = append(answers, answer)
	for i := len(answers) - 1; i > 0 && nth(&answers[i-1]) > nth(&answers[i]); i-- {
		answers[i-1], answers[i] = answers[i], answers[i-1]
	}
	return answers
}
