"""Annotations and what they mean: the kind of a column, whether it may be null, or what a record carries beside its fields.

The rule: an annotation that has no kind is refused with words when the plugin is described.
Left to others: reading (`read.py`) and writing (`write.py`) columns.
"""

import types
import typing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple


@dataclass(frozen=True)
class Kind:
    """`name` chooses how cells are read and written, `wire` is the column's kind."""

    name: str
    wire: str


@dataclass(frozen=True)
class Beside:
    """What a record carries beside its fields."""

    name: str
    settable: bool


class Position(NamedTuple):
    """Where a record stands: `shard` is STREAM/SHARD, `sequence` decimal digits. No other record of the job has the same."""

    shard: str
    sequence: str
    sub_sequence: int


Int32 = Annotated[int, Kind("int32", "int32")]
Json = Annotated[Any, Kind("json", "json")]
"""A nested value, parsed."""
JsonText = Annotated[str, Kind("text", "json")]
"""A nested value as its text."""
Micros = Annotated[int, Kind("int64", "timestamp")]
"""Microseconds since 1970: a timestamp without making a datetime of it."""
Days = Annotated[int, Kind("int32", "date")]
"""Days since 1970."""

PartitionKey = Annotated[str, Beside("partition_key", True)]
EventTime = Annotated[int, Beside("event_time", True)]
"""Microseconds since 1970."""
ArrivalTime = Annotated[int, Beside("arrival_time", False)]
StreamPosition = Annotated[Position, Beside("position", False)]
Payload = Annotated[bytes, Beside("payload", True)]
Operation = Annotated[str, Beside("operation", True)]
"""insert, update-before, update-after or delete."""

OPERATIONS = ["insert", "update-before", "update-after", "delete"]

PLAIN = {
    bool: Kind("boolean", "boolean"),
    int: Kind("int64", "int64"),
    float: Kind("float64", "float64"),
    str: Kind("text", "text"),
    bytes: Kind("binary", "binary"),
    Decimal: Kind("decimal", "decimal"),
    datetime: Kind("datetime", "timestamp"),
    date: Kind("day", "date"),
}


def split_optional(annotation: Any) -> tuple[Any, bool]:
    """`T | None` as T and true."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(rest) == 1 and len(typing.get_args(annotation)) == 2:
            return rest[0], True
    return annotation, False


def marked(annotation: Any) -> Any:
    """The Kind or Beside of an annotation, or nothing."""
    if typing.get_origin(annotation) is Annotated:
        return next((mark for mark in annotation.__metadata__ if isinstance(mark, (Kind, Beside))), None)
    try:
        return PLAIN.get(annotation)
    except TypeError:
        return None


def hints(cls: Any) -> dict[str, Any]:
    """Annotations of a class or function, resolved, with what `Annotated` adds."""
    return typing.get_type_hints(cls, include_extras=True)
