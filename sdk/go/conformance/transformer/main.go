// The plugin `transformer` of the conformance suite: see sdk/conformance/README.md.
package main

import (
	"errors"
	"math"
	"math/big"
	"strings"

	"pelton"
	"pelton/transformer"
)

func main() {}

func init() {
	plugin := &Plugin{Config: Settings{Factor: 1}}
	transformer.Register(pelton.Info{Name: "conformance", Doc: "does what a record's op says"}, plugin)
}

type Settings struct {
	Factor float64 `json:"factor" doc:"what ratio is multiplied by"`
	Prefix string  `json:"prefix" doc:"what stands before name"`
}

// Fields come in, and go out after `op`.
type Fields struct {
	Op    string
	Flag  pelton.Null[bool]
	Small pelton.Null[int32]
	Big   pelton.Null[int64]
	Ratio pelton.Null[float64]
	Name  pelton.Null[string]
	Blob  pelton.Null[[]byte]
	Price pelton.Null[pelton.Decimal]
	At    pelton.Null[pelton.Timestamp]
	Day   pelton.Null[pelton.Date]
	Extra pelton.Null[pelton.JSON]
}

type Record struct {
	Op       string
	Flag     pelton.Null[bool]
	Small    pelton.Null[int32]
	Big      pelton.Null[int64]
	Ratio    pelton.Null[float64]
	Name     pelton.Null[string]
	Blob     pelton.Null[[]byte]
	Price    pelton.Null[pelton.Decimal]
	At       pelton.Null[pelton.Timestamp]
	Day      pelton.Null[pelton.Date]
	Extra    pelton.Null[pelton.JSON]
	Key      pelton.PartitionKey
	Time     pelton.EventTime
	Position pelton.Position
}

type Part struct {
	Name pelton.Null[string]
	Nth  int64
	Time pelton.EventTime
}

type Plugin struct {
	Config Settings
	Out    pelton.Output[Fields]
	Other  pelton.Output[Part]
}

func (p *Plugin) Init() error {
	if p.Config.Factor < 0 {
		return errors.New("factor is negative")
	}
	return nil
}

func (p *Plugin) Process(r *Record) error {
	switch r.Op {
	case "drop":
	case "copy":
		p.copy(r)
	case "both":
		p.both(r)
	case "split":
		for nth := range r.Big.V {
			p.Other.Emit(Part{r.Name, nth, r.Time + pelton.EventTime(nth*1_000_000)})
		}
	case "reject":
		return pelton.Reject("refused", "%s is refused", r.Name.Or("null"))
	case "late":
		p.both(r)
		return pelton.Reject("refused", "%s is refused", r.Name.Or("null"))
	case "bounds":
		p.Out.Emit(bounds())
	case "nulls":
		p.Out.Emit(Fields{Op: "nulls"})
	case "who":
		p.Out.Emit(Fields{Op: "who", Name: pelton.Some(string(r.Key)), Big: pelton.Some(int64(r.Position.SubSequence))})
	case "where":
		p.Out.Emit(Fields{Op: "where", Name: pelton.Some(r.Position.Shard), Big: pelton.Some(int64(r.Position.SubSequence))})
	case "log":
		pelton.Infof("%s", r.Name.V)
		pelton.Count("logged", 1)
	case "trap":
		panic("told to trap")
	case "fatal":
		return pelton.Fatal("%s", r.Name.V)
	case "retry":
		return pelton.Retry("%s", r.Name.V)
	default:
		return pelton.Reject("unknown_op", "%s", r.Op)
	}
	return nil
}

func (p *Plugin) both(r *Record) {
	p.copy(r)
	p.Other.Emit(Part{r.Name, -1, r.Time})
}

func (p *Plugin) copy(r *Record) {
	out := Fields{r.Op, r.Flag, r.Small, r.Big, r.Ratio, r.Name, r.Blob, r.Price, r.At, r.Day, r.Extra}
	out.Ratio.V *= p.Config.Factor
	if out.Name.Valid {
		out.Name.V = p.Config.Prefix + out.Name.V
	}
	p.Out.Emit(out)
}

func bounds() Fields {
	digits, _ := new(big.Int).SetString("-"+strings.Repeat("9", 38), 10)
	return Fields{
		Op: "bounds", Flag: pelton.Some(true), Small: pelton.Some[int32](math.MinInt32), Big: pelton.Some[int64](math.MaxInt64),
		Ratio: pelton.Some(math.Copysign(0, -1)), Name: pelton.Some("ä€😀\x00"), Blob: pelton.Some([]byte{0, 0xff, 0x80}),
		Price: pelton.Some(pelton.DecimalOf(digits, 18)), At: pelton.Some[pelton.Timestamp](253402300799999999),
		Day: pelton.Some[pelton.Date](-719162), Extra: pelton.Some[pelton.JSON](`{"a":[1,null,"x"]}`),
	}
}
