"""A batch as objects of the author's class.

The rule: a row is made by the class's own `__init__`; a row with a cell that Python cannot hold is rejected before the author sees it.
Left to others: cells (`read.py`).
"""

from dataclasses import dataclass
from typing import Any, Generic, Iterator, TypeVar

from .fields import Plan
from .read import Bad, beside, cells

I = TypeVar("I")


@dataclass
class Call:
    """What holds for all records of a call; the same again when a batch is retried."""

    count: int
    now_ms: int
    watermark_ms: int | None  # how far event time has come; None while there is no watermark
    seed: int


def call_of(batch: Any, count: int) -> Call:
    return Call(count, batch.now_ms, batch.watermark_ms, batch.seed)


def lists(plan: Plan, batch: Any) -> list[list[Any]]:
    """A list a member, in the order of `names`."""
    found = [cells(batch.fields[index], column) for index, column in enumerate(plan.columns)]
    return found + [beside(batch, mark) for _, mark in plan.beside]


def names(plan: Plan) -> list[str]:
    return [column.name for column in plan.columns] + [name for name, _ in plan.beside]


class Rows(Generic[I]):
    """The rows of one batch, in order; `columns` are their members as lists."""

    def __init__(self, plan: Plan, batch: Any, call: Call) -> None:
        self.plan, self.call, self.count, self._batch = plan, call, batch.count, batch
        self._lists: dict[str, list[Any]] = {}

    def column(self, name: str) -> list[Any]:
        """The values of a member, None where there is none."""
        if name not in self._lists:
            self._lists[name] = self._read(name)
        return self._lists[name]

    def _read(self, name: str) -> list[Any]:
        for index, column in enumerate(self.plan.columns):
            if column.name == name:
                return cells(self._batch.fields[index], column)
        for member, mark in self.plan.beside:
            if member == name:
                return beside(self._batch, mark)
        raise AttributeError(f"`{self.plan.cls.__name__}` has no `{name}`")

    def raw(self, name: str) -> Any:
        """The column of a field as it crossed the boundary: `values.value` and `null`."""
        index = next(index for index, column in enumerate(self.plan.columns) if column.name == name)
        return self._batch.fields[index]

    def __iter__(self) -> Iterator[I]:
        return iter(self.all())

    def __len__(self) -> int:
        return self.count

    def all(self) -> list[I]:
        """Every row, or a `Bad` where one cannot be read."""
        members = names(self.plan)
        cls = self.plan.cls
        if not members:
            rows = [cls() for _ in range(self.count)]
        elif in_order(cls, members):
            rows = list(map(cls, *map(self.column, members)))
        else:
            rows = [cls(**dict(zip(members, values))) for values in zip(*map(self.column, members))]
        for index, row in enumerate(rows):
            row._index = index
        return rows

    def bad(self) -> dict[int, str]:
        """Rows with a cell that cannot be read, and why."""
        found: dict[int, str] = {}
        for column in self.plan.columns:
            if column.kind.name in ("datetime", "day", "json"):
                for index, cell in enumerate(self.column(column.name)):
                    if isinstance(cell, Bad):
                        found.setdefault(index, f"field `{column.path}`: {cell.words}")
        return found


def in_order(cls: type, members: list[str]) -> bool:
    """Whether the members stand in the class as in the plan: then values are given by place."""
    import dataclasses

    return [field.name for field in dataclasses.fields(cls)] == members
