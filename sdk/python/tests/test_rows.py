"""Reading and writing cells, configs and accumulators, at their edges.

The rule: what does not fit is refused with words. Left to others: worlds (`test_conformance.py`).
"""

import sys
import unittest
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pelton_sdk import (  # noqa: E402
    Accumulator,
    Aggregator,
    Config,
    Days,
    EventTime,
    Input,
    Int32,
    Json,
    JsonText,
    Micros,
    Out,
    Output,
    PartitionKey,
    Reject,
    Rows,
    Transformer,
    Window,
    field,
    plugin,
    setting,
)
from pelton_sdk.accumulator import pack, unpack  # noqa: E402
from pelton_sdk.testing import describe, run  # noqa: E402
from pelton_sdk.write import parts, signed  # noqa: E402


class All(Input):
    flag: bool | None
    small: Int32 | None
    big: int | None
    ratio: float | None
    name: str | None
    blob: bytes | None
    price: Decimal | None
    at: datetime | None
    micros: Micros | None
    day: date | None
    days: Days | None
    extra: Json | None
    raw: JsonText | None


class Same(Output):
    flag: bool | None
    small: Int32 | None
    big: int | None
    ratio: float | None
    name: str | None
    blob: bytes | None
    price: Decimal | None
    at: datetime | None
    micros: Micros | None
    day: date | None
    days: Days | None
    extra: Json | None
    raw: JsonText | None


@plugin
class Copy(Transformer):
    name = "copy"

    def process(self, row: All, out: Out[Same]) -> None:
        out.emit(row, Same(**vars(row) and {name: value for name, value in vars(row).items() if name != "_index"}))


FULL = {
    "flag": True,
    "small": -(2**31),
    "big": 2**63 - 1,
    "ratio": -0.5,
    "name": "ä€😀\0",
    "blob": [0, 255, 128],
    "price": "-99999999999999999999.999999999999999999",
    "at": 253402300799999999,
    "micros": -(2**62),
    "day": -719162,
    "days": 2**31 - 1,
    "extra": {"a": [1, None, "ä"]},
    "raw": {"b": 1},
}


def emitting(annotation: Any, value: Any) -> Any:
    """Runs a plugin that emits one value."""
    output = Output.of(f=annotation)

    class Row(Input):
        pass

    class Emits(Transformer):
        name = "p"

        @classmethod
        def parts(cls, config: Any) -> dict[str, Any]:
            return {"input": Row, "output": output}

        def process(self, row, out) -> None:  # type: ignore[no-untyped-def]
            out.emit(row, output(value))

    return run(Emits, [{}])


class Cells(unittest.TestCase):
    def test_every_kind_goes_through_as_it_came(self) -> None:
        nulls = dict.fromkeys(FULL)
        ascii_row = {**FULL, "name": "ascii", "blob": "text"}
        self.assertEqual(run(Copy, [FULL, {}, ascii_row]), [FULL, nulls, ascii_row])

    def test_what_does_not_fit_is_named(self) -> None:
        cases: list[tuple[Any, Any, str]] = [
            (Int32, 2**31, "2147483648 is no int32"),
            (int, 2**63, "is no int64"),
            (int, 1.5, "1.5 is no int64"),
            (int, "1", "'1' is no int64"),
            (str, 1, "1 is no text"),
            (bytes, "x", "'x' is no binary: expected bytes"),
            (bool, 1, "expected True or False"),
            (float, "x", "'x' is no float64"),
            (float, None, "declare it as `... | None`"),
            (Decimal, 1.5, "a float is no exact decimal"),
            (datetime, datetime(2026, 1, 1), "with a time zone"),
            (date, datetime(2026, 1, 1, tzinfo=timezone.utc), "expected a date"),
            (Json, float("nan"), "is no json"),
        ]
        for annotation, value, words in cases:
            with self.subTest(words), self.assertRaises(TypeError) as raised:
                emitting(annotation, value)
            self.assertIn(words, str(raised.exception))
            self.assertIn("field `f` of output `output`, from record 0", str(raised.exception))

    def test_half_a_character_is_replaced(self) -> None:
        self.assertEqual(emitting(str, "a\ud800b"), [{"f": "a?b"}])

    def test_decimals_keep_every_digit(self) -> None:
        for number in (0, 1, -1, 127, 128, -128, -129, 255, 2**64, -(2**95)):
            self.assertEqual(int.from_bytes(signed(number), "big", signed=True), number)
        self.assertEqual((signed(128), signed(-128)), (b"\0\x80", b"\x80"))
        self.assertEqual((parts("1e3"), parts(Decimal("-0.050")), parts(7)), ((1000, 0), (-50, 3), (7, 0)))
        self.assertEqual(emitting(Decimal, Decimal("1E+20")), [{"f": "1" + "0" * 20}])

    def test_a_cell_that_python_cannot_hold_rejects_its_record_alone(self) -> None:
        found = run(Copy, [{"at": 2**62}, {"at": 0, "day": 0}])
        self.assertEqual((found[0]["_reject"]["code"], found[1]["at"]), ("unreadable", 0))
        self.assertIn("field `at`: 4611686018427387904", found[0]["_reject"]["message"])

    def test_a_record_that_is_refused_leaves_nothing(self) -> None:
        class Row(Input):
            n: int
            key: PartitionKey
            at: EventTime

        class Big(Output):
            n: int
            at: EventTime

        class Rest(Output, name="others"):
            n: int = field(path="deep.n")
            key: PartitionKey

        @plugin
        class Route(Transformer):
            name = "route"

            def process(self, row: Row, out: Out[Big | Rest]) -> None:
                out.emit(row, Big(row.n, row.at + 1) if row.n > 1 else Rest(row.n, row.key + "!"))
                if row.n == 2:
                    raise Reject("two", "is refused")

        found = run(Route, [{"n": 1, "_partition_key": "ä"}, {"n": 2}, {"n": 3, "_event_time": 5}])
        self.assertEqual(found[0], {"_output": "others", "_partition_key": "ä!", "deep.n": 1})
        self.assertEqual(found[1], {"_reject": {"index": 1, "code": "two", "message": "is refused"}})
        self.assertEqual(found[2], {"_output": "big", "_event_time": 6, "n": 3})

    def test_columns(self) -> None:
        class Row(Input):
            n: int
            t: str | None

        class Kept(Output):
            t: str | None
            n: int

        @plugin
        class Columns(Transformer):
            name = "columns"

            def process_all(self, rows: Rows[Row], out: Out[Kept]) -> None:
                n, t = rows.column("n"), rows.column("t")
                keep = [index for index, value in enumerate(n) if value > 1]
                out.emit_columns(Kept, keep, n=[n[index] for index in keep], t=[t[index] for index in keep])

        self.assertEqual(run(Columns, [{"n": 1}, {"n": 2, "t": "x"}, {"n": 3}]), [{"t": "x", "n": 2}, {"t": None, "n": 3}])

    def test_a_mistake_in_a_declaration_is_said_when_it_is_read(self) -> None:
        class Odd(Input):
            n: complex

        with self.assertRaisesRegex(TypeError, "`Odd.n` is <class 'complex'>, which is no kind of a field"):

            @plugin
            class Wrong(Transformer):
                name = "p"

                def process(self, row: Odd, out: Out[Same]) -> None: ...

        with self.assertRaisesRegex(TypeError, "reads nothing: annotate its record"):

            @plugin
            class Empty(Transformer):
                name = "p"

                def process(self, row, out) -> None: ...  # type: ignore[no-untyped-def]

        with self.assertRaisesRegex(TypeError, "has no `name`"):

            @plugin
            class Nameless(Transformer):
                def process(self, row: All, out: Out[Same]) -> None: ...

    def test_a_plugin_that_remembers_is_found(self) -> None:
        class Row(Input):
            n: int

        class Count(Output):
            count: int

        @plugin
        class Remembers(Transformer):
            name = "p"

            def __init__(self) -> None:
                self.count = 0

            def process(self, row: Row, out: Out[Count]) -> None:
                self.count += 1
                out.emit(row, Count(self.count))

        with self.assertRaisesRegex(AssertionError, "depend on how records are cut"):
            run(Remembers, [{"n": 1}, {"n": 2}])

    def test_an_aggregator_that_forgets_to_combine_is_found(self) -> None:
        class Row(Input):
            n: int

        class Total(Accumulator):
            n: int

        class Sum(Output):
            n: int

        @plugin
        class Forgets(Aggregator):
            name = "p"

            def fold(self, total: Total, row: Row) -> None:
                total.n += row.n

            def combine(self, into: Total, part: Total) -> None: ...

            def finish(self, total: Total, window: Window) -> Sum | None:
                return Sum(total.n)

        with self.assertRaisesRegex(AssertionError, "two halves, combined"):
            run(Forgets, [{"n": 1}, {"n": 2}])


class Settings(Config):
    least: float = setting(0.0, doc="a bound", minimum=0)
    names: list[str] = setting([])
    mode: Literal["a", "b"] = "a"
    limit: int | None = None
    needed: str


class Configured(unittest.TestCase):
    def test_a_config_is_read_or_refused(self) -> None:
        from pelton_sdk.config import object_schema, parse

        self.assertEqual(parse('{"needed": "x", "least": 2}', Settings), Settings(least=2.0, needed="x"))
        cases = [
            ("{}", "config: `needed` is missing"),
            ('{"needed": 1}', "config.needed: 1 is no string"),
            ('{"needed": "x", "least": -1}', "config.least: -1 is less than 0"),
            ('{"needed": "x", "mode": "c"}', 'config.mode: "c" is none of a, b'),
            ('{"needed": "x", "nmes": []}', "config: there is no `nmes`; there is: least, names, mode, limit, needed"),
            ('{"needed": "x", "names": [1]}', "config.names[0]: 1 is no string"),
            ('{"needed": "x", "limit": true}', "config.limit: true is no integer"),
            ("{", "config is not JSON"),
        ]
        for text, words in cases:
            with self.subTest(text), self.assertRaises(ValueError) as raised:
                parse(text, Settings)
            self.assertIn(words, str(raised.exception))
        schema = object_schema(Settings)
        self.assertEqual(schema["properties"]["least"], {"type": "number", "minimum": 0, "description": "a bound", "default": 0.0})
        self.assertEqual((schema["required"], schema["additionalProperties"]), (["needed"], False))

    def test_a_plugin_without_a_config_takes_none(self) -> None:
        with self.assertRaises(Exception) as raised:
            describe(Copy, {"x": 1})
        self.assertIn("this plugin takes none, and `x` was given", str(raised.exception))


class Kept(Accumulator, version=3):
    n: int
    f: float | None
    names: list[str]
    extra: Json
    data: bytes


class Accumulators(unittest.TestCase):
    def test_what_goes_in_comes_out(self) -> None:
        for value in (Kept(), Kept(-(2**63), -0.0, ["ä", ""], {"a": [1]}, b"\0\xff"), Kept(2**63 - 1, 1e308, ["x"], "y")):
            self.assertEqual(unpack(Kept, pack(value)), value)
        self.assertEqual((pack(Kept())[0], unpack(Kept, b"")), (3, Kept()))

    def test_other_bytes_are_refused(self) -> None:
        cases = [(b"\2\0", "has version 2, this plugin reads version 3"), (b"\3\0", "is too short"), (pack(Kept()) + b"x", "has 1 bytes too many")]
        for data, words in cases:
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                unpack(Kept, data)
        with self.assertRaisesRegex(TypeError, "`Kept.n` is 9223372036854775808"):
            pack(Kept(2**63))


if __name__ == "__main__":
    unittest.main()
