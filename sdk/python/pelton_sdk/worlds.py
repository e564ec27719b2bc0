"""Calls of the host, made calls of the author's methods.

The rule: each function here is one function of the interface; an instance is what `init` made, and nothing else is kept.
Left to others: exceptions and exports (`export.py`).
"""

from dataclasses import dataclass
from typing import Any

from .accumulator import pack, unpack
from .definition import Definition
from .enrich import Answer, Ask
from .failures import Reject
from .host import interface, t
from .out import Out, Timers, once
from .read import texts
from .rows import Call, Rows, call_of
from .state import slices
from .write import ABSENT, chunk_column

EMPTY = b""


@dataclass
class Instance:
    """What `init` made."""

    plugin: Any
    definition: Definition
    out: Out[Any]


@dataclass
class Window:
    """The window that is finished. Its bounds and key are added to the result by the host."""

    _index: int
    start_ms: int
    end_ms: int
    firing: str
    firing_number: int


@dataclass
class Timer:
    """A timer that is due."""

    _index: int
    tag: str
    at_ms: int
    processing_time: bool


def guarded(out: Out[Any], source: Any, call: Any, *arguments: Any) -> None:
    """Runs the author's method; a Reject refuses the record."""
    try:
        call(*arguments)
    except Reject as reject:
        out.reject(source, reject.code, reject.message)


def opened(instance: Instance, batch: Any, timers: Timers | None = None) -> tuple[Rows[Any], Out[Any]]:
    call = call_of(batch, batch.count)
    return Rows(instance.definition.inputs[batch.input], batch, call), instance.out.begin(call, timers)


def readable(rows: Rows[Any], out: Out[Any]) -> list[Any]:
    """The rows that Python can hold; the others are rejected."""
    bad = rows.bad()
    found = rows.all()
    for index, words in bad.items():
        out.reject(found[index], "unreadable", words)
    return [row for row in found if row._index not in bad] if bad else found


def transform(instance: Instance, batch: Any) -> Any:
    rows, out = opened(instance, batch)
    whole = getattr(instance.plugin, "process_all", None)
    if whole is not None:
        transform_all(whole, rows, out)
        return out.finish()
    process = instance.plugin.process
    for row in readable(rows, out):
        try:
            process(row, out)
        except Reject as reject:
            out.reject(row, reject.code, reject.message)
    return out.finish()


@dataclass
class Source:
    """A record by its place."""

    _index: int


def transform_all(whole: Any, rows: Rows[Any], out: Out[Any]) -> None:
    """A Reject that leaves it can be laid to a record only when there is one. The host finds it: it calls again with fewer."""
    if rows.count == 1:
        guarded(out, Source(0), whole, rows, out)
    else:
        whole(rows, out)


def decoded(column: Any, cls: type) -> list[Any]:
    return [unpack(cls, cell) for cell in slices(column)]


def fold(instance: Instance, given: Any) -> Any:
    rows, out = opened(instance, given.records)
    totals = decoded(given.accumulators, instance.definition.accumulator)
    readable_rows = {row._index: row for row in readable(rows, out)}
    call = instance.plugin.fold
    for index, group in zip(given.row, given.group):
        row = readable_rows.get(index)
        if row is None:
            continue
        try:
            call(totals[group], row)
        except Reject as reject:
            out.reject(row, reject.code, reject.message)
    return interface("aggregate").Folded(chunk_column(list(map(pack, totals))), once(out.errors))


def combine(instance: Instance, parts: Any, offsets: list[int]) -> Any:
    cls = instance.definition.accumulator
    found = decoded(parts, cls)
    groups = []
    for start, end in zip(offsets, offsets[1:]):
        whole = cls()
        for part in found[start:end]:
            instance.plugin.combine(whole, part)
        groups.append(whole)
    return chunk_column(list(map(pack, groups)))


def finish(instance: Instance, closing: Any) -> Any:
    groups = closing.groups
    totals = decoded(closing.accumulators, instance.definition.accumulator)
    out = instance.out.begin(Call(len(totals), closing.now_ms, closing.watermark_ms, closing.seed))
    for index, total in enumerate(totals):
        firing = closing.firing[index].name.lower().replace("_", "-")
        window = Window(index, groups.start_ms[index], groups.end_ms[index], firing, closing.firing_number[index])
        try:
            result = instance.plugin.finish(total, window)
            if result is not None:
                out.emit(window, result)
        except Reject as reject:
            out.reject(window, reject.code, reject.message)
    return out.finish()


def key_of(instance: Instance, key_set: Any, timers: Timers) -> Any:
    plan = instance.definition.key
    return plan.cls()._begin(key_set, timers, plan)


def stateful(instance: Instance, batch: Any) -> Any:
    timers = Timers()
    rows, out = opened(instance, batch, timers)
    key = key_of(instance, batch.keys, timers)
    process = instance.plugin.process
    for row in readable(rows, out):
        guarded(out, row, process, row, key._move(batch.key_index[row._index]), out)
    return out.finish()


def due_timers(due: Any) -> list[tuple[Timer, int]]:
    processing = t.TimeDomain.PROCESSING_TIME
    found = enumerate(zip(texts(due.tag), due.at_ms, due.domain, due.key))
    return [(Timer(index, tag, at_ms, domain == processing), key) for index, (tag, at_ms, domain, key) in found]


def fire(instance: Instance, due: Any) -> Any:
    timers = Timers()
    out = instance.out.begin(call_of(due, len(due.key)), timers)
    key = key_of(instance, due.keys, timers)
    for timer, index in due_timers(due):
        guarded(out, timer, instance.plugin.fire, timer, key._move(index), out)
    return out.finish()


class States:
    """States of a call: read when first asked for, written once."""

    def __init__(self, cls: type, column: Any) -> None:
        self.cls, self.cells = cls, slices(column)
        self.read: dict[int, Any] = {}

    def get(self, index: int) -> Any:
        if self.read.get(index) is None:
            self.read[index] = unpack(self.cls, EMPTY if index in self.read else self.cells[index])
        return self.read[index]

    def finish(self) -> Any:
        fresh = pack(self.cls())
        return chunk_column([self.written(index, cell, fresh) for index, cell in enumerate(self.cells)]) if self.cells else ABSENT

    def written(self, index: int, before: bytes, fresh: bytes) -> bytes:
        if index not in self.read:
            return before
        if self.read[index] is None:
            return EMPTY
        after = pack(self.read[index])
        # A key that was only looked at gets no state.
        return EMPTY if not before and after == fresh else after


def with_state(key: Any, states: States) -> Any:
    """The same key, with `state`, `is_new` and `clear()`."""
    base = type(key)
    members = {
        "state": property(lambda self: states.get(self._index), lambda self, value: states.read.__setitem__(self._index, value)),
        "is_new": property(lambda self: not states.cells[self._index]),
        "clear": lambda self: states.read.__setitem__(self._index, None),
    }
    key.__class__ = type(base.__name__, (base,), members)
    return key


def keyed_process(instance: Instance, batch: Any, column: Any) -> Any:
    timers = Timers()
    rows, out = opened(instance, batch, timers)
    states = States(instance.definition.key.state, column)
    key = with_state(key_of(instance, batch.keys, timers), states)
    for row in readable(rows, out):
        guarded(out, row, instance.plugin.process, row, key._move(batch.key_index[row._index]), out)
    return interface("keyed").KeyedOutput(out.finish(), states.finish())


def keyed_fire(instance: Instance, due: Any, column: Any) -> Any:
    timers = Timers()
    out = instance.out.begin(call_of(due, len(due.key)), timers)
    states = States(instance.definition.key.state, column)
    key = with_state(key_of(instance, due.keys, timers), states)
    for timer, index in due_timers(due):
        guarded(out, timer, instance.plugin.fire, timer, key._move(index), out)
    return interface("keyed").KeyedOutput(out.finish(), states.finish())


def prepare(instance: Instance, batch: Any) -> Any:
    rows, out = opened(instance, batch)
    ask = Ask(instance.definition.connectors)
    for row in readable(rows, out):
        ask.row = row._index
        instance.plugin.prepare(row, ask)
    return ask.requests


def complete(instance: Instance, batch: Any, responses: list[Any]) -> Any:
    rows, out = opened(instance, batch)
    ask = Ask(instance.definition.connectors)
    answers: dict[int, list[Answer]] = {}
    for response in responses:
        answers.setdefault(response.row, []).append(Answer(response))
    for row in readable(rows, out):
        ask.row, asked = row._index, len(ask.requests)
        try:
            instance.plugin.complete(row, answers.get(row._index, []), out, ask)
        except Reject as reject:
            del ask.requests[asked:]
            out.reject(row, reject.code, reject.message)
    return interface("enrich").Completed(out.finish(), ask.requests)
