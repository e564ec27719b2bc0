//go:build wasip1

// The exports of the world.

package enricher

import (
	"pelton"
	"pelton/internal/wire"
)

var plugin Columns

// RegisterColumns makes it the plugin of this program.
func RegisterColumns(columns Columns) {
	plugin = columns
	wire.Register(columns)
}

type (
	request struct {
		Row                                            uint32
		Cookie, Connector, Method, Path, Headers, Body wire.List
	}
	requestsResult struct {
		Tag      uint8
		Requests wire.List
	}
	response struct {
		Row    uint32
		Cookie wire.List
		// a variant: 0 answered (status, headers, body), 1 failed (a text), 2 timed out
		Tag     uint8
		Payload [5]uint32
	}
	batchAndResponses struct {
		Batch     wire.Batch
		Responses wire.List
	}
	completedResult struct {
		Tag       uint8
		Processed wire.Processed
		Further   wire.List
	}
)

func lowerRequests(from []Request) wire.List {
	requests, list := wire.Make[request](len(from))
	for i, r := range from {
		headers, headerList := wire.Make[wire.Connector](len(r.Headers))
		for at, header := range r.Headers {
			headers[at] = wire.Connector{Name: wire.OutText(header.Name), Doc: wire.OutText(header.Value)}
		}
		requests[i] = request{r.Row, wire.Out(r.Cookie), wire.OutText(r.Connector), wire.OutText(r.Method), wire.OutText(r.Path), headerList, wire.Out(r.Body)}
	}
	return list
}

func (r *response) lift() Answer {
	answer := Answer{Row: r.Row, Cookie: wire.View[byte](r.Cookie)}
	switch r.Tag {
	case 0:
		answer.Status = uint16(r.Payload[0])
		for _, header := range wire.View[wire.Connector](wire.List{At: r.Payload[1], Len: r.Payload[2]}) {
			answer.Headers = append(answer.Headers, Header{wire.Text(header.Name), wire.Text(header.Doc)})
		}
		answer.Body = wire.View[byte](wire.List{At: r.Payload[3], Len: r.Payload[4]})
	case 1:
		answer.Failed = wire.Text(wire.List{At: r.Payload[0], Len: r.Payload[1]})
		if answer.Failed == "" {
			answer.Failed = "failed"
		}
	default:
		answer.TimedOut = true
	}
	return answer
}

//go:wasmexport pelton:plugin/enrich@0.1.0#prepare
func prepare(at uint32) uint32 {
	defer wire.Trap()
	requests, err := plugin.Prepare(wire.Pointer[wire.Batch](at).Lift())
	if err != nil {
		return wire.Fail(err)
	}
	result, address := wire.New[requestsResult]()
	result.Requests = lowerRequests(requests)
	return address
}

//go:wasmexport cabi_post_pelton:plugin/enrich@0.1.0#prepare
func postPrepare(uint32) { wire.Release() }

//go:wasmexport pelton:plugin/enrich@0.1.0#complete
func complete(at uint32) uint32 {
	defer wire.Trap()
	in := wire.Pointer[batchAndResponses](at)
	responses := wire.View[response](in.Responses)
	answers := make([]Answer, len(responses))
	for i := range responses {
		answers[i] = responses[i].lift()
	}
	var processed *pelton.Processed
	processed, further, err := plugin.Complete(in.Batch.Lift(), answers)
	if err != nil {
		return wire.Fail(err)
	}
	result, address := wire.New[completedResult]()
	result.Processed.Lower(processed)
	result.Further = lowerRequests(further)
	return address
}

//go:wasmexport cabi_post_pelton:plugin/enrich@0.1.0#complete
func postComplete(uint32) { wire.Release() }
