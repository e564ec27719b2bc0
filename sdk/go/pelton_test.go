package pelton

import (
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

type everything struct {
	Flag     bool
	Small    Null[int32]
	Big      int64
	Ratio    Null[float64]
	Name     Null[string] `pelton:"place.name" doc:"where"`
	Blob     []byte
	Price    Null[Decimal]
	At       Timestamp
	Day      Null[Date]
	Extra    JSON
	hidden   int
	Skipped  int `pelton:"-"`
	Key      PartitionKey
	Time     EventTime
	HTTPCode int32
}

func rowOf() everything {
	return everything{
		Flag: true, Big: 1 << 60, Ratio: Some(1.5), Name: Some("ä€"), Blob: []byte{0, 255}, Price: Some(DecimalOf(big.NewInt(-12345), 2)),
		At: 7, Extra: `{"a":1}`, Key: "k", Time: 9, HTTPCode: 404,
	}
}

func TestAStructIsADeclaration(t *testing.T) {
	plan, err := planOf(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, field := range plan.fields {
		names = append(names, field.Path)
	}
	if got := strings.Join(names, " "); got != "flag small big ratio place.name blob price at day extra http_code" {
		t.Error(got)
	}
	if plan.identity != HasPartitionKey|HasEventTime || !plan.fields[1].Optional || plan.fields[0].Optional || plan.fields[4].Doc != "where" {
		t.Errorf("%+v", plan)
	}
	type wrong struct{ Count int }
	if _, err := planOf(reflect.TypeFor[wrong]()); err == nil || !strings.Contains(err.Error(), "field Count") {
		t.Error(err)
	}
}

func TestRowsGoThroughColumns(t *testing.T) {
	plan, _ := planOf(reflect.TypeFor[everything]())
	session := &Session{}
	e := session.output(plan)
	session.Start()
	rows := []everything{rowOf(), {Small: Some[int32](-1), Day: Some[Date](-719162)}, rowOf()}
	for i := range rows {
		session.At(i)
		e.emit(unsafe.Pointer(&rows[i]))
	}
	processed := session.Finish()
	out := processed.Emitted[0]
	batch := &Batch{Count: 3, Fields: out.Fields, PartitionKey: out.PartitionKey, EventUs: out.EventUs}
	for i, want := range rows {
		var got everything
		plan.read(batch, i, unsafe.Pointer(&got))
		if want.Blob == nil {
			got.Blob = nil // empty and nil are one column's cell
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("row %d: %+v, expected %+v", i, got, want)
		}
	}
}

func TestARefusedRecordGivesNoRowsAndItsTimersStay(t *testing.T) {
	plan, _ := planOf(reflect.TypeFor[everything]())
	session := &Session{}
	first, second := session.output(plan), session.output(plan)
	session.Start()
	row := rowOf()
	for i := range 4 {
		session.At(i)
		first.emit(unsafe.Pointer(&row))
		second.emit(unsafe.Pointer(&row))
		second.emit(unsafe.Pointer(&row))
		session.Timer(0, "t", InEventTime, 1, true)
		if i%2 == 1 {
			if err := session.Settle(Reject("code", "no %d", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := session.Finish()
	if got := p.Emitted[1].Source; !reflect.DeepEqual(got, []uint32{0, 0, 2, 2}) || len(p.Timers.Key) != 4 || p.Timers.Tag.Len() != 4 {
		t.Error(got, p.Timers)
	}
	for i := range p.Emitted[1].Fields {
		if c := &p.Emitted[1].Fields[i]; c.Len() != 4 || len(c.Null) != 0 && len(c.Null) != 4 {
			t.Errorf("column %d: %+v", i, c)
		}
	}
	if !reflect.DeepEqual(p.Errors, []RecordError{{1, "code", "no 1"}, {3, "code", "no 3"}}) {
		t.Error(p.Errors)
	}
	if err := session.Settle(Retry("later")); err == nil {
		t.Error("a failure is no rejection")
	}
}

func TestAColumnWithNoCellsIsThere(t *testing.T) {
	c := Column{Kind: Text}
	c.Reset()
	if len(c.Cells.Offsets) != 1 || c.Len() != 0 {
		t.Error(c)
	}
}

func TestDecimalsOfAColumnHaveOneScale(t *testing.T) {
	c := Column{Kind: DecimalKind}
	c.Reset()
	c.AppendDecimal(DecimalOf(big.NewInt(-5), 0))
	appendNull(&c, DecimalKind)
	c.AppendDecimal(DecimalOf(big.NewInt(125), 2))
	c.AppendDecimal(DecimalOf(big.NewInt(3), 1))
	var got []int64
	for row := range c.Len() {
		got = append(got, Decimal{Unscaled: c.Cells.At(row)}.Int().Int64())
	}
	if c.Scale != 2 || !reflect.DeepEqual(got, []int64{-500, 0, 125, 30}) {
		t.Error(c.Scale, got)
	}
	for _, n := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, -256, 1 << 40, -1 << 63} {
		if back := DecimalOf(big.NewInt(n), 0); back.Int().Int64() != n || len(back.Unscaled) > 8 {
			t.Errorf("%d: % x", n, back.Unscaled)
		}
	}
}

type kept struct {
	Count int64
	Names []string
	By    map[string]float64
	Inner struct{ Flag bool }
	Raw   []byte
}

func TestKeptValuesComeBackAndDamageIsNoticed(t *testing.T) {
	codec, err := CodecOf[kept](3)
	if err != nil {
		t.Fatal(err)
	}
	value := kept{7, []string{"a", ""}, map[string]float64{"x": 1.5, "a": -0.5}, struct{ Flag bool }{true}, []byte{1}}
	bytes := codec.Encode(nil, &value)
	for range 20 {
		if string(codec.Encode(nil, &value)) != string(bytes) {
			t.Fatal("the same value gave other bytes")
		}
	}
	var back kept
	if err := codec.Decode(bytes, &back); err != nil || !reflect.DeepEqual(back, value) || bytes[0] != 3 {
		t.Error(err, back)
	}
	for cut := 1; cut < len(bytes); cut++ {
		if err := codec.Decode(bytes[:cut], &back); err == nil {
			t.Errorf("%d of %d bytes were taken for whole", cut, len(bytes))
		}
	}
	if err := codec.Decode([]byte{2}, &back); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Error(err)
	}
	if _, err := CodecOf[struct{ C chan int }](1); err == nil {
		t.Error("a channel cannot be kept")
	}
}

type settings struct {
	Least float64 `json:"least" doc:"the least"`
	Tags  []string
}

type bound struct {
	Config settings
	Sales  Output[everything] `pelton:"sales,"`
}

func (b *bound) Init() error {
	if b.Config.Least < 0 {
		return Reject("config", "least is negative")
	}
	return nil
}

func TestAPluginsStructIsItsManifest(t *testing.T) {
	plugin := &bound{Config: settings{Least: 2}}
	binding := Bind(Info{Name: "p"}, plugin)
	manifest, err := binding.Describe("{}")
	if err != nil || manifest.Outputs[0].Name != "sales" || manifest.Version != "0.1.0" || plugin.Config.Least != 2 {
		t.Fatal(err, manifest)
	}
	want := `{"additionalProperties":false,"properties":{"Tags":{"items":{"type":"string"},"type":"array"},` +
		`"least":{"default":2,"description":"the least","type":"number"}},"type":"object"}`
	if manifest.ConfigSchema != want {
		t.Error(manifest.ConfigSchema)
	}
	for config, why := range map[string]string{`{"least": -1}`: "negative", `{"most": 1}`: "most", `{"least": "x"}`: "config", `{} {}`: "config"} {
		if _, err := binding.Describe(config); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", config, err)
		}
	}
	if err := binding.Init(Context{Config: `{"least": 3}`}); err != nil || plugin.Config.Least != 3 {
		t.Error(err)
	}
	if err := binding.Init(Context{}); err != nil || plugin.Config.Least != 2 {
		t.Error("defaults must come back", err)
	}
}

func BenchmarkRows(b *testing.B) {
	type in struct {
		Ad     string
		Amount float64
	}
	type out struct {
		Ad    string
		Cents int64
	}
	read, _ := planOf(reflect.TypeFor[in]())
	write, _ := planOf(reflect.TypeFor[out]())
	batch := &Batch{Count: 500, Fields: []Column{{Kind: Text}, {Kind: Float64}}}
	for i := range 500 {
		batch.Fields[0].Cells.AppendText("some ad here 123")
		batch.Fields[1].F64 = append(batch.Fields[1].F64, float64(i))
	}
	session := &Session{}
	e := session.output(write)
	for b.Loop() {
		session.Start()
		var record in
		for row := range 500 {
			session.At(row)
			read.read(batch, row, unsafe.Pointer(&record))
			if record.Amount > 250 {
				result := out{record.Ad, int64(record.Amount)}
				e.emit(unsafe.Pointer(&result))
			}
		}
		session.Finish()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/record")
}
