"""Rows as dataclasses: what is read of a record, and what is made of it.

The rule: annotations decide kinds; a class is made a dataclass where it is declared, and its plan (fields, kinds, paths) is made once.
Left to others: columns.
"""

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, dataclass_transform

from .kinds import Beside, Kind, hints, marked, split_optional


def field(*, path: str | None = None, doc: str = "", default: Any = dataclasses.MISSING) -> Any:
    """A field with another path in the record than its name, words for people, or (in outputs) a default."""
    return dataclasses.field(default=default, metadata={"path": path, "doc": doc})


@dataclass(frozen=True)
class Column:
    """A field of a plan."""

    name: str
    path: str
    kind: Kind
    optional: bool
    doc: str


@dataclass(frozen=True)
class Plan:
    """What a class of rows says."""

    cls: type
    columns: tuple[Column, ...]
    beside: tuple[tuple[str, Beside], ...]


def snake(name: str) -> str:
    """`LateClick` as `late_click`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class _Row:
    """Shared by inputs and outputs."""

    _name: str

    def __init_subclass__(cls, name: str | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls._name = name or snake(cls.__name__)
        dataclass(cls)

    @classmethod
    def of(cls, **annotations: Any) -> type:
        """A class made at run time, for plugins whose config names their fields: `Input.of(value=(float, field(path="a.b")))`."""
        pairs = {name: what if isinstance(what, tuple) else (what, None) for name, what in annotations.items()}
        body: dict[str, Any] = {name: default for name, (_, default) in pairs.items() if default is not None}
        body["__annotations__"] = {name: annotation for name, (annotation, _) in pairs.items()}
        return type(cls.__name__, (cls,), body)


@dataclass_transform(field_specifiers=(field,))
class Input(_Row):
    """What is read of a record. Fields that are not named here are not even decoded."""

    _index = 0


@dataclass_transform(field_specifiers=(field,))
class Output(_Row):
    """What is made of a record."""


@cache
def plan(cls: type) -> Plan:
    """Kinds and paths of a class of rows."""
    columns: list[Column] = []
    beside: list[tuple[str, Beside]] = []
    metadata = {found.name: found.metadata for found in dataclasses.fields(cls)}
    for name, annotation in hints(cls).items():
        if name.startswith("_") or name not in metadata:
            continue
        plain, optional = split_optional(annotation)
        mark = marked(plain)
        more = metadata[name]
        if isinstance(mark, Beside):
            beside.append((name, mark))
        elif isinstance(mark, Kind):
            columns.append(Column(name, more.get("path") or name, mark, optional, more.get("doc", "")))
        else:
            raise TypeError(f"`{cls.__name__}.{name}` is {annotation}, which is no kind of a field: take str, int, float, bool, bytes, Decimal, datetime, date, Json, ...")
    return Plan(cls, tuple(columns), tuple(beside))
