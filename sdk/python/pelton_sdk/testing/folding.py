"""The calls that a host makes of an aggregator: fold, combine, finish, one window a `_key`.

The rule: folding in one call, record by record, and in two halves that are combined must give the same.
Left to others: comparing (`__init__.py`).
"""

from typing import Any, Callable

from .. import shim as t
from .batch import NOW_MS, absent, batch, chunks, column, lookup
from .results import placed, slices

Rows = list[dict[str, Any]]
HOUR_MS = 3_600_000


class Foldings:
    """The rows of a test, by group."""

    def __init__(self, exports: Callable[[], dict[str, Any]], config: str, rows: Rows) -> None:
        self.make, self.config, self.rows = exports, config, rows
        self.start()
        self.manifest = self.exports["Lifecycle"].describe(config)
        self.keys: list[Any] = []
        self.first_rows: Rows = []
        self.group = [self.group_of(row) for row in rows]
        self.rejects: Rows = []

    def start(self) -> None:
        self.exports = {name: made() for name, made in self.make().items()}
        self.exports["Lifecycle"].init(t.Context(self.config, "test", "test", 0, []))

    def group_of(self, row: dict[str, Any]) -> int:
        declared = self.manifest.key
        key = " ".join(str(lookup(row, field.path)) for field in declared) if declared else row.get("_key")
        if key not in self.keys:
            self.keys.append(key)
            self.first_rows.append(row)
        return self.keys.index(key)

    def ways(self) -> dict[str, Rows]:
        count = len(self.rows)
        return {
            "one call": self.finish(self.fold(0, count, count or 1)),
            "a call for each record": self.finish(self.fold(0, count, 1)),
            "two halves, combined": self.combined(count // 2),
        }

    def windows(self, with_keys: bool) -> Any:
        count = len(self.keys)
        fields = [column(field, self.first_rows) for field in self.manifest.key] if with_keys else []
        return t.Windows(t.KeySet(absent(), fields), list(range(count)) if with_keys else [], [0] * count, [HOUR_MS] * count)

    def fold(self, start: int, end: int, cut: int) -> Any:
        totals = chunks([b""] * len(self.keys))
        for first in range(start, end, cut):
            last = min(first + cut, end)
            self.start()
            records = batch(self.manifest.inputs[0], 0, self.rows[first:last], first, None)
            given = t.FoldInput(records, self.windows(False), list(range(last - first)), self.group[first:last], totals)
            folded = self.exports["Aggregate"].fold(given)
            totals = folded.accumulators
            if len(totals.offsets) != len(self.keys) + 1:
                raise AssertionError(f"{len(totals.offsets) - 1} accumulators came back for {len(self.keys)} windows")
            self.rejects += [{"_reject": {"index": error.index + first, "code": error.code, "message": error.message}} for error in folded.errors]
        return totals

    def finish(self, totals: Any) -> Rows:
        self.start()
        count = len(self.keys)
        closing = t.Closing(self.windows(True), [t.Firing.ON_TIME] * count, [0] * count, totals, NOW_MS, 1, HOUR_MS)
        processed = self.exports["Aggregate"].finish(closing)
        rejects, self.rejects = self.rejects, []
        return [row for _, row in placed(self.manifest, processed, count, keys=self.keys)] + rejects

    def combined(self, middle: int) -> Rows:
        halves = [slices(self.fold(0, middle, middle or 1)), slices(self.fold(middle, len(self.rows), len(self.rows) or 1))]
        parts = chunks([half[index] for index in range(len(self.keys)) for half in halves])
        self.start()
        return self.finish(self.exports["Aggregate"].combine(parts, [2 * index for index in range(len(self.keys) + 1)]))
