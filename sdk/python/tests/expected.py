"""What the conformance plugins of any language must give, of the worlds that `pelton test` does not run yet and of the others.

The rule: a case says rows in and rows out, or the words of a failure. Left to others: running it (`components.py`, `test_conformance.py`).
"""

from dataclasses import dataclass
from typing import Any, Callable


@dataclass
class Case:
    """Rows in, and what must come of them."""

    name: str
    rows: list[dict[str, Any]]
    expected: list[dict[str, Any]] | None = None
    config: str = "{}"
    fails: str = ""
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None

    def check(self, run: Callable[[Any, str, Any], Any], plugin: Any = None) -> str:
        """Nothing, or what is wrong."""
        try:
            found = run(self.rows, self.config, self.answer)
        except Exception as error:
            words = f"{type(error).__name__}: {getattr(getattr(error, 'value', error), 'value', getattr(error, 'value', error))}"
            logged = " ".join(getattr(plugin, "lines", []))
            return "" if self.fails and self.fails in words + logged else f"failed: {words}"
        if self.fails:
            return f"was expected to fail: {self.fails}"
        return "" if found == self.expected else f"\n    expected {self.expected}\n    found    {found}"


NULLS = {name: None for name in ("flag", "small", "big", "ratio", "name", "blob", "price", "at", "day", "extra")}
FULL = {
    "flag": True,
    "small": -2147483648,
    "big": 9007199254740991,
    "ratio": -0.5,
    "name": "ä€😀\0",
    "blob": [0, 255, 128],
    "price": "-12.5",
    "at": 1,
    "day": -719162,
    "extra": {"a": [1, None, "x"]},
}


def out(op: str, **fields: Any) -> dict[str, Any]:
    return {"_output": "out", "op": op, **NULLS, **fields}


def other(nth: int, at: int, name: str | None = "n") -> dict[str, Any]:
    return {"_output": "other", "_event_time": at, "name": name, "nth": nth}


def refused(index: int, message: str, code: str = "refused") -> dict[str, Any]:
    return {"_reject": {"index": index, "code": code, "message": message}}


TRANSFORMER = [
    Case("every field as it came", [{"op": "copy", **FULL}, {"op": "copy"}, {"op": "copy", "name": "a"}], [out("copy", **FULL), out("copy"), out("copy", name="a")]),
    Case("a config", [{"op": "copy", "ratio": 1.5, "name": "x"}], [out("copy", ratio=3.0, name="px")], '{"factor": 2, "prefix": "p"}'),
    Case("none, many, both", [{"op": "drop"}, {"op": "split", "big": 2, "name": "n", "_event_time": 7}, {"op": "both", "name": "n", "_event_time": 9}], [other(0, 7), other(1, 1000007), out("both", name="n"), other(-1, 9)]),
    Case("refusals", [{"op": "reject", "name": "x"}, {"op": "reject"}, {"op": "zap"}], [refused(0, "x is refused"), refused(1, "null is refused"), refused(2, "zap", "unknown_op")]),
    Case(
        "a refused record gives no rows",
        [{"op": "both", "_event_time": 1, **FULL}, {"op": "late", **FULL}, {"op": "both", "name": "n", "_event_time": 2}, {"op": "late", "big": 7}, {"op": "copy", **FULL, "small": 4}],
        [out("both", **FULL), other(-1, 1, FULL["name"]), refused(1, f"{FULL['name']} is refused"), out("both", name="n"), other(-1, 2), refused(3, "null is refused"), out("copy", **{**FULL, "small": 4})],
    ),
    Case("nulls, and who", [{"op": "nulls"}, {"op": "who", "_partition_key": "kä"}], [out("nulls"), out("who", name="kä", big=0)]),
    Case("a negative factor", [], None, '{"factor": -1}', fails="factor is negative"),
    Case("fatal", [{"op": "fatal", "name": "no way"}], fails="no way"),
    Case("retry", [{"op": "retry", "name": "later"}], fails="later"),
    Case("a trap says why in the log", [{"op": "trap"}], fails="the record asks for a trap"),
    Case("log", [{"op": "log", "name": "a line"}], []),
]

AGGREGATOR = [
    Case(
        "folded, refused, finished",
        [{"_key": "a", "op": "add", "amount": 1.5, "name": "x"}, {"_key": "b", "op": "add"}, {"_key": "a", "op": "reject", "name": "y"}, {"_key": "a", "op": "add", "amount": 2, "name": "ä"}],
        [{"_key": "a", "records": 2, "total": 3.5, "least": 1.5, "names": "x,ä"}, {"_key": "b", "records": 1, "total": 0.0, "least": None, "names": ""}, refused(2, "y is refused")],
    ),
    Case("no row for nothing", [{"_key": "a", "op": "add"}], [], '{"empty": true}'),
]


def told(key: str, what: str, text: str | None = None, number: int | None = None) -> dict[str, Any]:
    return {"key": key, "what": what, "text": text, "number": number}


STATEFUL = [
    Case("values", [{"key": "a", "op": "put", "text": "ä"}, {"key": "a", "op": "get"}, {"key": "b", "op": "get"}, {"key": "a", "op": "delete"}, {"key": "a", "op": "get"}], [told("a", "get", "ä"), told("b", "get"), told("a", "get")]),
    Case(
        "lists",
        [{"key": "a", "op": "push", "name": f"n{n}", "text": str(n)} for n in (3, 1, 2)]
        + [{"key": "b", "op": "push", "name": "n9", "text": "9"}, {"key": "a", "op": "scan", "value": 1}, {"key": "a", "op": "scan", "name": "n2"}, {"key": "a", "op": "remove", "name": "n1"}, {"key": "a", "op": "pull", "name": "n1"}, {"key": "a", "op": "pull", "name": "n2"}],
        [told("a", "n1", "1"), told("a", "n2", "2"), told("a", "n3", "3"), told("a", "n2", "2"), told("a", "n3", "3"), told("a", "pull"), told("a", "pull", "2")],
    ),
    Case("timers", [{"key": "a", "op": "put", "text": "x"}, {"key": "a", "op": "timer", "name": "again", "value": 1000}, {"key": "b", "op": "timer", "name": "once", "value": 1500}, {"key": "b", "op": "timer", "name": "gone", "value": 1500}, {"key": "b", "op": "cancel", "name": "gone"}, {"_watermark": 2000}, {"key": "b", "op": "clock", "name": "c", "value": 5}, {"_clock": 5}], [told("a", "fired", "again", 1000), told("b", "fired", "once", 1500), told("a", "fired", "again", 2000), told("b", "fired", "c", 5)]),
    Case("no watermark before the first", [{"key": "a", "op": "watermark"}, {"_watermark": 7}, {"key": "a", "op": "watermark"}], [told("a", "watermark"), told("a", "watermark", None, 7)]),
    Case("sides", [{"key": "a", "op": "side"}, {"key": "a", "op": "side", "_input": "right"}], [told("a", "left"), told("a", "right")]),
    Case("many", [{"key": "a", "op": "put", "text": "x"}, {"_watermark": 1}, {"key": "a", "op": "many"}], [told("a", "many", None, 1)]),
    Case("a put stays where the record is refused", [{"key": "a", "op": "reject", "name": "r", "text": "x"}, {"key": "a", "op": "get"}], [refused(0, "r is refused"), told("a", "get", "x")]),
    Case("a timer stays where the record is refused, a row does not", [{"key": "a", "op": "late", "name": "t", "value": 5, "text": "x"}, {"key": "a", "op": "get"}, {"_watermark": 5}], [refused(0, "t is refused"), told("a", "get", "x"), told("a", "fired", "t", 5)]),
    Case("version 2 of a value", [{"key": "a", "op": "put", "text": "x"}, {"key": "a", "op": "get"}], [told("a", "get", "x")], '{"version": 2}'),
    Case("a trap", [{"key": "a", "op": "trap", "text": "x"}], fails="the record asks for a trap"),
]


def seen(count: int, total: int, key: str = "a") -> dict[str, Any]:
    return {"key": key, "count": count, "total": total}


KEYED = [
    Case("counted", [{"key": "a", "op": "add", "value": 3}, {"key": "b", "op": "add"}, {"key": "a", "op": "add", "value": -4}], [seen(1, 3), seen(1, 0, "b"), seen(2, -1)]),
    Case("cleared", [{"key": "a", "op": "add", "value": 3}, {"key": "a", "op": "clear"}, {"key": "a", "op": "add", "value": 1}], [seen(1, 3), seen(0, 0), seen(1, 1)]),
    Case("timers", [{"key": "a", "op": "add", "value": 3}, {"key": "a", "op": "timer", "value": 10}, {"_watermark": 9}, {"_watermark": 10}], [seen(1, 3), seen(1, 3)]),
    Case("refused", [{"key": "a", "op": "reject"}, {"key": "a", "op": "add", "value": 1}], [refused(0, "a is refused"), seen(1, 1)]),
    Case("a trap", [{"key": "a", "op": "trap"}], fails="the record asks for a trap"),
]


def answered(request: dict[str, Any]) -> dict[str, Any]:
    known = {
        "GET /scores/a%20b": {"status": 200, "body": "ä"},
        "GET /scores/x": {"status": 200, "body": "y"},
        "GET /scores/y": {"status": 404, "body": "gone"},
        "GET /scores/slow": {"timed_out": True},
        "GET /scores/down": {"failed": "no route"},
    }
    if request["method"] == "POST":
        return {"status": 201, "body": f"{request['headers']['content-type']} {request['body']}"}
    return known[f"GET {request['path']}"]


def scored(name: str, status: int | None, text: str | None, rounds: int = 1) -> dict[str, Any]:
    return {"name": name, "status": status, "text": text, "rounds": rounds}


ENRICHER = [
    Case("answers", [{"op": "ask", "name": "a b"}, {"op": "pass", "name": "p"}, {"op": "ask", "name": "slow"}, {"op": "ask", "name": "down"}], [scored("a b", 200, "ä"), scored("p", None, None, 0), scored("slow", None, "timed out"), scored("down", None, "failed: no route")], answer=answered),
    Case("two rounds", [{"op": "pass", "name": "p"}, {"op": "twice", "name": "x"}], [scored("p", None, None, 0), scored("x", 404, "gone", 2)], answer=answered),
    Case("a body", [{"op": "post", "name": "ä", "value": 5}], [scored("ä", 201, 'application/json {"name":"ä","value":5}')], answer=answered),
    Case("refused", [{"op": "reject", "name": "r"}], [refused(0, "r is refused")], answer=answered),
]

CASES = {"transformer": TRANSFORMER, "aggregator": AGGREGATOR, "stateful-transformer": STATEFUL, "keyed-transformer": KEYED, "enricher": ENRICHER}
