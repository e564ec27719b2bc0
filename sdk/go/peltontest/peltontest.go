// Package peltontest runs a plugin over rows of JSON, as ordinary Go: no WebAssembly, no host.
//
// Rows are JSON objects, one a line. `_key` is a record's partition key and its key, `_at` its event time in microseconds; a refused record is
// {"_reject": "CODE: MESSAGE"} among what is expected, after the rows.
//
// The rule: each test runs as one batch and record by record; both must give what is expected, because the host may do either.
// Left to others: the component itself, which `pelton test` runs in a job.
package peltontest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"pelton"
	"pelton/aggregator"
	"pelton/enricher"
	"pelton/internal/store"
	"pelton/keyed"
	"pelton/stateful"
	"pelton/transformer"
)

// row is a JSON object.
type row = map[string]any

// plugin is what all worlds have.
type plugin interface {
	Describe(config string) (*pelton.Manifest, error)
	Init(context pelton.Context) error
}

func lines(t *testing.T, text string) (rows []row) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	for decoder.More() {
		var one row
		if err := decoder.Decode(&one); err != nil {
			t.Fatalf("no JSON object: %v, in: %s", err, text)
		}
		rows = append(rows, one)
	}
	return rows
}

func start(t *testing.T, p plugin, config string) *pelton.Manifest {
	t.Helper()
	manifest, err := p.Describe(config)
	if err == nil {
		err = p.Init(pelton.Context{Config: config, Job: "test", Step: "test"})
	}
	if err != nil {
		t.Fatalf("config %s: %v", config, err)
	}
	return manifest
}

// both runs the rows as one batch and one by one.
func both(t *testing.T, input []row, expected string, run func(rows []row) []row) {
	t.Helper()
	compare(t, "as one batch", run(input), expected)
	var single []row
	for _, one := range input {
		single = append(single, run([]row{one})...)
	}
	compare(t, "record by record", single, expected)
}

func compare(t *testing.T, how string, found []row, expected string) {
	t.Helper()
	asText := func(rows []row) []string {
		var rejects, others []string
		for _, one := range rows {
			text, _ := json.Marshal(one)
			if _, is := one["_reject"]; is {
				rejects = append(rejects, string(text))
			} else {
				others = append(others, string(text))
			}
		}
		return append(others, rejects...)
	}
	want, got := asText(lines(t, expected)), asText(found)
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s:\nexpected\n\t%s\nfound\n\t%s", how, strings.Join(want, "\n\t"), strings.Join(got, "\n\t"))
	}
}

// Transformer expects these rows, outputs one after the other.
func Transformer(t *testing.T, p transformer.Columns, config, input, expected string) {
	t.Helper()
	manifest := start(t, p, config)
	both(t, lines(t, input), expected, func(rows []row) []row {
		processed, err := p.Process(batch(t, &manifest.Inputs[0], manifest.Key, rows))
		return results(t, manifest, processed, err)
	})
}

// Aggregator folds the rows into one window, as one call, and as two halves that are combined.
func Aggregator(t *testing.T, p aggregator.Columns, config, input, expected string) {
	t.Helper()
	manifest := start(t, p, config)
	rows := lines(t, input)
	whole, rejects := fold(t, p, manifest, rows)
	compare(t, "in one call", append(finish(t, p, manifest, whole), rejects...), expected)
	first, early := fold(t, p, manifest, rows[:len(rows)/2])
	second, late := fold(t, p, manifest, rows[len(rows)/2:])
	var parts pelton.Bytes
	parts.Append(first)
	parts.Append(second)
	combined, err := p.Combine(&parts, []uint32{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	found := append(finish(t, p, manifest, bytes.Clone(combined.At(0))), early...)
	compare(t, "in two halves", append(found, late...), expected)
}

func window() aggregator.Groups {
	var key pelton.Bytes
	key.AppendText("")
	return aggregator.Groups{Keys: pelton.KeySet{Bytes: key}, Key: []uint32{0}, StartMs: []int64{0}, EndMs: []int64{60_000}}
}

func fold(t *testing.T, p aggregator.Columns, manifest *pelton.Manifest, rows []row) ([]byte, []row) {
	t.Helper()
	input := &aggregator.FoldInput{Records: batch(t, &manifest.Inputs[0], nil, rows), Groups: window()}
	input.Accumulators.Append(nil)
	for i := range rows {
		input.Row, input.Group = append(input.Row, uint32(i)), append(input.Group, 0)
	}
	folded, errors, err := p.Fold(input)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(folded.At(0)), rejected(errors)
}

func finish(t *testing.T, p aggregator.Columns, manifest *pelton.Manifest, accumulator []byte) []row {
	t.Helper()
	closing := &aggregator.Closing{Groups: window(), Firing: []aggregator.Firing{aggregator.OnTime}, FiringNumber: []uint32{0}}
	closing.Accumulators.Append(accumulator)
	processed, err := p.Finish(closing)
	return results(t, manifest, processed, err)
}

// Keyed gives each record the state that its key has by then.
func Keyed(t *testing.T, p keyed.Columns, config, input, expected string) {
	t.Helper()
	manifest := start(t, p, config)
	for how, cut := range cuts(lines(t, input)) {
		states := map[string][]byte{}
		var found []row
		for _, rows := range cut {
			b := batch(t, &manifest.Inputs[0], manifest.Key, rows)
			var cells pelton.Bytes
			cells.Reset()
			for key := range b.Keys.Bytes.Len() {
				cells.Append(states[b.Keys.Bytes.Text(key)])
			}
			processed, after, err := p.Process(b, &cells)
			found = append(found, results(t, manifest, processed, err)...)
			for key := range b.Keys.Bytes.Len() {
				states[b.Keys.Bytes.Text(key)] = bytes.Clone(after.At(key))
			}
		}
		compare(t, how, found, expected)
	}
}

func cuts(rows []row) map[string][][]row {
	single := make([][]row, len(rows))
	for i := range rows {
		single[i] = rows[i : i+1]
	}
	return map[string][][]row{"as one batch": {rows}, "record by record": single}
}

// Stateful gives the rows to the first input.
func Stateful(t *testing.T, p stateful.Columns, config, input, expected string) {
	t.Helper()
	manifest := start(t, p, config)
	store.Clear()
	defer store.Clear()
	// The store knows keys by their number, so all records are one batch.
	b := batch(t, &manifest.Inputs[0], manifest.Key, lines(t, input))
	processed, err := p.Process(b)
	compare(t, "as one batch", results(t, manifest, processed, err), expected)
}

// Enricher answers what the plugin asks.
func Enricher(t *testing.T, p enricher.Columns, config string, answer func(enricher.Request) enricher.Answer, input, expected string) {
	t.Helper()
	manifest := start(t, p, config)
	both(t, lines(t, input), expected, func(rows []row) []row {
		asked, err := p.Prepare(batch(t, &manifest.Inputs[0], nil, rows))
		var found []row
		for left := rows; err == nil && len(left) > 0; {
			var answers []enricher.Answer
			for _, request := range asked {
				a := answer(request)
				a.Row, a.Cookie = request.Row, request.Cookie
				answers = append(answers, a)
			}
			var processed *pelton.Processed
			processed, asked, err = p.Complete(batch(t, &manifest.Inputs[0], nil, left), answers)
			found = append(found, results(t, manifest, processed, err)...)
			left = again(left, asked)
		}
		if err != nil {
			t.Fatal(err)
		}
		return found
	})
}

// again is the records that ask once more; their requests are numbered anew.
func again(rows []row, asked []enricher.Request) (left []row) {
	for i := range asked {
		if i == 0 || asked[i].Row != asked[i-1].Row {
			left = append(left, rows[asked[i].Row])
		}
	}
	last, number := uint32(0), -1
	for i := range asked {
		if i == 0 || asked[i].Row != last {
			last = asked[i].Row
			number++
		}
		asked[i].Row = uint32(number)
	}
	return left
}

func rejected(errors []pelton.RecordError) (rows []row) {
	for _, e := range errors {
		rows = append(rows, row{"_reject": e.Code + ": " + e.Message})
	}
	return rows
}

func results(t *testing.T, manifest *pelton.Manifest, processed *pelton.Processed, err error) (rows []row) {
	t.Helper()
	if err != nil {
		return []row{{"_failed": err.Error()}}
	}
	for _, emitted := range processed.Emitted {
		fields := manifest.Outputs[emitted.Output].Fields
		for i := range emitted.Source {
			one := row{}
			for at, field := range fields {
				one[field.Path] = value(&emitted.Fields[at], i)
			}
			rows = append(rows, one)
		}
	}
	return append(rows, rejected(processed.Errors)...)
}

func value(c *pelton.Column, row int) any {
	if c.IsNull(row) {
		return nil
	}
	switch c.Kind {
	case pelton.Boolean:
		return c.Bools[row] != 0
	case pelton.Int32, pelton.DateKind:
		return c.I32[row]
	case pelton.Int64, pelton.TimestampKind:
		return c.I64[row]
	case pelton.Float64:
		return c.F64[row]
	case pelton.Binary:
		return base64.StdEncoding.EncodeToString(c.Cells.At(row))
	case pelton.DecimalKind:
		return fmt.Sprintf("%se-%d", pelton.Decimal{Unscaled: c.Cells.At(row)}.Int(), c.Scale)
	}
	// The next call takes this memory again.
	return strings.Clone(c.Cells.Text(row))
}

func batch(t *testing.T, input *pelton.Input, keyFields []pelton.Field, rows []row) *pelton.Batch {
	t.Helper()
	b := &pelton.Batch{Count: len(rows), Shards: []string{"test/shardId-000000000000"}}
	pelton.Begin(b.Call)
	b.Sequence.Reset()
	b.PartitionKey.Reset()
	b.Keys.Bytes.Reset()
	for _, field := range keyFields {
		b.Keys.Fields = append(b.Keys.Fields, pelton.Column{Kind: field.Kind})
	}
	numbers := map[string]uint32{}
	for i, one := range rows {
		key, _ := one["_key"].(string)
		number, is := numbers[key]
		if !is {
			number = uint32(len(numbers))
			numbers[key] = number
			b.Keys.Bytes.AppendText(key)
			for at := range b.Keys.Fields {
				put(t, &b.Keys.Fields[at], "_key", key)
			}
		}
		at := int64(0)
		if stated, is := one["_at"].(json.Number); is {
			at, _ = stated.Int64()
		}
		b.KeyIndex = append(b.KeyIndex, number)
		b.ShardIndex, b.SubSequence = append(b.ShardIndex, 0), append(b.SubSequence, uint32(i))
		b.EventUs, b.ArrivalUs = append(b.EventUs, at), append(b.ArrivalUs, at)
		b.Sequence.AppendText("0")
		b.PartitionKey.AppendText(key)
	}
	for _, field := range input.Fields {
		column := pelton.Column{Kind: field.Kind}
		for _, one := range rows {
			put(t, &column, field.Path, inside(one, field.Path))
		}
		b.Fields = append(b.Fields, column)
	}
	return b
}

func inside(one row, path string) any {
	name, rest, nested := strings.Cut(path, ".")
	if inner, is := one[name].(row); nested && is {
		return inside(inner, rest)
	}
	return one[path]
}

// put appends a cell; what is not there is null.
func put(t *testing.T, c *pelton.Column, path string, cell any) {
	t.Helper()
	number, _ := cell.(json.Number)
	text, isText := cell.(string)
	whole, err := number.Int64()
	if number == "" {
		err = nil
	}
	switch c.Kind {
	case pelton.Boolean:
		bit := byte(0)
		if cell == true {
			bit = 1
		}
		c.Bools = append(c.Bools, bit)
	case pelton.Int32, pelton.DateKind:
		c.I32 = append(c.I32, int32(whole))
	case pelton.Int64, pelton.TimestampKind:
		c.I64 = append(c.I64, whole)
	case pelton.Float64:
		float, _ := number.Float64()
		c.F64, err = append(c.F64, float), nil
	case pelton.Text:
		c.Cells.AppendText(text)
	case pelton.Binary:
		var cells []byte
		cells, err = base64.StdEncoding.DecodeString(text)
		c.Cells.Append(cells)
	case pelton.DecimalKind:
		c.Scale, err = 6, decimal(c, cell, text)
	default:
		nested, _ := json.Marshal(cell)
		c.Cells.Append(nested)
	}
	if err != nil || c.Kind == pelton.Text && cell != nil && !isText {
		t.Fatalf("field %s: %v does not fit its kind", path, cell)
	}
	null := byte(0)
	if cell == nil {
		null = 1
	}
	c.Null = append(c.Null, null)
}

func decimal(c *pelton.Column, cell any, text string) error {
	if cell == nil {
		c.Cells.Append(nil)
		return nil
	}
	number, is := new(big.Rat).SetString(text)
	if !is {
		return fmt.Errorf("no number: %q", text)
	}
	number.Mul(number, big.NewRat(1_000_000, 1))
	c.Cells.Append(pelton.DecimalOf(number.Num(), 6).Unscaled)
	return nil
}
