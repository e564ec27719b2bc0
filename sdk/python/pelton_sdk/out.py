"""Where the results of one call are collected: rows for each output, records that are refused, timers.

The rule: what was not emitted and not rejected is dropped; a record that is refused gives no rows, whenever they were emitted. Rows become columns
when the call ends.
Left to others: columns (`write.py`).
"""

from operator import attrgetter
from typing import Any, Generic, TypeVar

from .fields import Plan
from .host import t
from .write import ABSENT, chunk_column, column, fault, operations, text_column

O = TypeVar("O")


class Sink:
    """One output: its rows as tuples, and the records that they come from."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.number, self.plan = number, plan
        names = [column.name for column in plan.columns] + [name for name, _ in plan.beside]
        self.names = names
        self.values = attrgetter(*names) if len(names) > 1 else (lambda row, get=attrgetter(*names): (get(row),)) if names else lambda row: ()
        self.clear()

    def clear(self) -> None:
        self.source: list[int] = []
        self.rows: list[tuple[Any, ...]] = []

    def take_back(self, refused: set[int]) -> None:
        kept = [(source, row) for source, row in zip(self.source, self.rows) if source not in refused]
        self.source, self.rows = [source for source, _ in kept], [row for _, row in kept]

    def finish(self) -> Any:
        columns = list(map(list, zip(*self.rows))) if self.names else []
        fields = [self.written(cells, declared) for cells, declared in zip(columns, self.plan.columns)]
        emitted = t.Emitted(self.number, self.source, ABSENT, [], b"", ABSENT, fields)
        for cells, (_, beside) in zip(columns[len(fields) :], self.plan.beside):
            if beside.name == "event_time":
                emitted.event_us = cells
            elif beside.name == "partition_key":
                emitted.partition_key = text_column(cells)
            elif beside.name == "payload":
                emitted.payload = chunk_column(cells)
            else:
                emitted.operation = operations(cells)
        return emitted

    def written(self, cells: list[Any], declared: Any) -> Any:
        try:
            return column(cells, declared)
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            place, words = fault(cells, declared)
            where = f"field `{declared.path}` of output `{self.plan.cls._name}`, from record {self.source[place]}"
            raise TypeError(f"{where}: {words}") from None


class Out(Generic[O]):
    """Annotate it with what is emitted: `Out[Sale]`, or `Out[Big | Small]` for several outputs, each of them a class."""

    def __init__(self, plans: list[Plan]) -> None:
        self.sinks = [Sink(number, plan) for number, plan in enumerate(plans)]
        self.by_class = {sink.plan.cls: sink for sink in self.sinks}
        self.errors: list[Any] = []
        self.timers: Timers | None = None
        self.call: Any = None

    def begin(self, call: Any, timers: "Timers | None" = None) -> "Out[O]":
        """Ready for another call."""
        self.call, self.timers, self.errors = call, timers, []
        for sink in self.sinks:
            sink.clear()
        return self

    def emit(self, source: Any, row: O) -> None:
        """A result of `source` (a row, a timer, a window); there may be any number of them."""
        sink = self.by_class.get(type(row))
        if sink is None:
            raise TypeError(f"`{type(row).__name__}` is no output of this plugin; there is: {', '.join(cls.__name__ for cls in self.by_class)}")
        sink.rows.append(sink.values(row))
        sink.source.append(source._index)

    def emit_columns(self, cls: type, sources: list[int], **columns: list[Any]) -> None:
        """Many results at once: a list a field. Faster than rows."""
        sink = self.by_class[cls]
        sink.rows.extend(zip(*(columns[name] for name in sink.names), strict=True))
        sink.source.extend(sources)
        if len(sink.rows) != len(sink.source):
            raise ValueError(f"{len(sources)} sources for columns of another length")

    def reject(self, source: Any, code: str, message: str) -> None:
        """This record cannot be processed. What is emitted for it, before or after, does not count."""
        self.errors.append(t.RecordError(source._index, str(code), str(message)))

    def finish(self) -> Any:
        errors = once(self.errors)
        if errors:
            refused = {error.index for error in errors}
            for sink in self.sinks:
                sink.take_back(refused)
        emitted = [sink.finish() for sink in self.sinks if sink.source]
        return t.Processed(emitted, errors, (self.timers or Timers()).finish())


def once(errors: list[Any]) -> list[Any]:
    """A record is refused once, however often it was said."""
    return errors if len(errors) < 2 else list({error.index: error for error in reversed(errors)}.values())[::-1]


class Timers:
    """Timers that are set and cancelled in a call."""

    def __init__(self) -> None:
        self.ops: list[tuple[int, str, Any, int, int]] = []

    def add(self, key: int, tag: str, domain: Any, at_ms: int, what: int) -> None:
        if type(at_ms) is not int:
            raise TypeError(f"timer `{tag}`: {at_ms!r} is no time in whole milliseconds")
        self.ops.append((key, tag, domain, at_ms, what))

    def finish(self) -> Any:
        if not self.ops:
            return t.TimerOps([], ABSENT, [], [], b"")
        key, tag, domain, at_ms, what = zip(*self.ops)
        return t.TimerOps(list(key), text_column(list(tag)), list(domain), list(at_ms), bytes(what))
