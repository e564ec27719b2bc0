"""The calls that a host makes of a transformer, stateful or keyed transformer, or enricher, cut as asked.

The rule: records stay in order, a call holds those of one input, and a timer fires between calls.
Left to others: aggregators (`folding.py`).
"""

import json
from typing import Any, Callable

from .. import shim as t
from ..host import host
from .batch import NOW_MS, absent, batch, chunks, column, lookup, texts
from .memory import State, Timers
from .results import placed, slices

Rows = list[dict[str, Any]]
MARKS = ("_watermark", "_clock")


class Calls:
    """One run, cut one way."""

    def __init__(self, exports: Callable[[], dict[str, Any]], world: str, config: str, cut: int, fresh: bool, answer: Any) -> None:
        self.make, self.world, self.config, self.cut, self.fresh, self.answer = exports, world, config, cut, fresh, answer
        self.state, self.timers, self.states = State(), Timers(), dict[str, bytes]()
        self.first_rows: dict[str, dict[str, Any]] = {}
        self.now_ms = NOW_MS
        self.watermark_ms: int | None = None
        host.state = self.state
        self.start()
        self.manifest = self.exports["Lifecycle"].describe(config)

    def start(self) -> None:
        self.exports = {name: made() for name, made in self.make().items()}
        connect = getattr(self.exports["Lifecycle"], "connect", None)
        if connect:
            connect(self.state)
        self.exports["Lifecycle"].init(t.Context(self.config, "test", "test", 0, []))

    def run(self, rows: Rows) -> Rows:
        found: Rows = []
        first = 0
        while first < len(rows):
            mark = next((mark for mark in MARKS if mark in rows[first]), None)
            end = first + 1 if mark else self.end(rows, first)
            found += self.advance(mark, rows[first][mark]) if mark else self.batch(rows[first:end], first)
            first = end
        return found

    def end(self, rows: Rows, first: int) -> int:
        """Where a call that begins at `first` ends."""
        end = first + 1
        while end < len(rows) and end - first < self.cut and not any(mark in rows[end] for mark in MARKS):
            if rows[end].get("_input") != rows[first].get("_input"):
                break
            end += 1
        return end

    def batch(self, rows: Rows, first: int) -> Rows:
        names = [one.name for one in self.manifest.inputs]
        number = names.index(rows[0].get("_input", names[0]))
        keys, of = self.keys_of(rows)
        given = batch(self.manifest.inputs[number], number, rows, first, (self.key_set(keys), of), self.watermark_ms)
        if self.world == "enricher":
            pairs = self.enrich(given, keys, first)
        elif self.world == "keyed-transformer":
            pairs = self.taken(keys, given.count, first, lambda: self.keyed("process", given, keys))
        else:
            pairs = self.taken(keys, given.count, first, lambda: self.exports["Transform"].process(given))
        return [row for _, row in pairs]

    def taken(self, keys: list[str], count: int, first: int, call: Callable[[], Any]) -> Any:
        """One call: what it wrote is kept, what it emitted becomes rows."""
        if self.fresh:
            self.start()
        processed = self.state.during(keys, call)
        self.timers.apply(keys, processed.timers)
        return placed(self.manifest, processed, count, first)

    def keyed(self, what: str, argument: Any, keys: list[str]) -> Any:
        before = chunks([self.states.get(key, b"") for key in keys])
        output = getattr(self.exports["Keyed"], what)(argument, before)
        self.states.update(zip(keys, slices(output.states), strict=True))
        return output.processed

    def keys_of(self, rows: Rows) -> tuple[list[str], list[int]]:
        keys: list[str] = []
        of = []
        for row in rows:
            declared = self.manifest.key
            key = json.dumps([lookup(row, field.path) for field in declared] if declared else row.get("_key", ""))
            if key not in keys:
                keys.append(key)
                self.first_rows[key] = row
            of.append(keys.index(key))
        return keys, of

    def key_set(self, keys: list[str]) -> Any:
        rows = [self.first_rows[key] for key in keys]
        return t.KeySet(texts(keys), [column(field, rows) for field in self.manifest.key])

    def advance(self, mark: str, to_ms: int) -> Rows:
        domain = "EVENT_TIME" if mark == "_watermark" else "PROCESSING_TIME"
        if mark == "_watermark":
            self.watermark_ms = to_ms
        else:
            self.now_ms = to_ms
        found: Rows = []
        while timer := self.timers.next(domain, to_ms):
            found += self.fire(domain, *timer)
        return found

    def fire(self, domain: str, key: str, tag: str, at_ms: int) -> Rows:
        due = t.DueTimers(self.key_set([key]), [0], texts([tag]), [t.TimeDomain[domain]], [at_ms], self.now_ms, 1, self.watermark_ms)
        if self.world == "keyed-transformer":
            pairs = self.taken([key], 1, 0, lambda: self.keyed("fire", due, [key]))
        else:
            pairs = self.taken([key], 1, 0, lambda: self.exports["OnTimers"].fire(due))
        return [row for _, row in pairs]

    def enrich(self, given: Any, keys: list[str], first: int) -> Any:
        if self.fresh:
            self.start()
        requests = self.state.during(keys, lambda: self.exports["Enrich"].prepare(given))
        found = self.complete(given, keys, first, list(range(given.count)), requests)
        return sorted(found, key=lambda pair: pair[0])

    def complete(self, given: Any, keys: list[str], first: int, places: list[int], requests: list[Any]) -> Any:
        """`places`: where the rows stood at first. Rows that ask again come in a further call of their own."""
        if self.fresh:
            self.start()
        responses = [t.Response(request.row, request.cookie, self.outcome(request)) for request in requests]
        completed = self.state.during(keys, lambda: self.exports["Enrich"].complete(given, responses))
        found = [(places[source], row) for source, row in placed(self.manifest, completed.processed, given.count, first)]
        if not completed.further:
            return found
        again = sorted({request.row for request in completed.further})
        for request in completed.further:
            request.row = again.index(request.row)
        return found + self.complete(pick(given, again), keys, first, [places[row] for row in again], completed.further)

    def outcome(self, request: Any) -> Any:
        if self.answer is None:
            raise AssertionError("this enricher asks, and the test has no `answer`")
        headers = {header.name: header.value for header in request.headers}
        asked = {"connector": request.connector, "method": request.method, "path": request.path, "headers": headers, "body": bytes(request.body).decode()}
        told = self.answer(asked)
        if told.get("timed_out"):
            return t.Outcome_TimedOut()
        if "failed" in told:
            return t.Outcome_Failed(told["failed"])
        body = told.get("body", "")
        named = [t.Header(name, value) for name, value in told.get("headers", {}).items()]
        return t.Outcome_Answered(t.Answer(told["status"], named, (body if isinstance(body, str) else json.dumps(body)).encode()))


def pick(given: Any, rows: list[int]) -> Any:
    """Some rows of a batch."""

    def some(cells: Any) -> Any:
        return type(cells)(cells[row] for row in rows) if cells else cells

    def strings(found: Any) -> Any:
        return chunks(some(slices(found))) if found.offsets else absent()

    def values(found: Any) -> Any:
        if isinstance(found, t.DecimalColumn):
            return t.DecimalColumn(strings(found.unscaled), found.scale)
        return strings(found) if isinstance(found, t.BytesColumn) else some(found)

    fields = [t.Column(type(one.values)(values(one.values.value)), some(one.null)) for one in given.fields]
    members = {
        "count": len(rows),
        "key_index": some(given.key_index),
        "shard_index": some(given.shard_index),
        "sequence": strings(given.sequence),
        "sub_sequence": some(given.sub_sequence),
        "partition_key": strings(given.partition_key),
        "event_us": some(given.event_us),
        "arrival_us": some(given.arrival_us),
        "payload": strings(given.payload),
        "fields": fields,
    }
    return t.Batch(**{**vars(given), **members})
