"""Columns of a batch as lists of Python values.

The rule: a column is read at once, by what C does fast; a cell that Python cannot hold is a `Bad`, and rejects its record alone.
Left to others: rows (`rows.py`).
"""

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any, Callable

from .fields import Column
from .host import t
from .kinds import OPERATIONS, Beside, Position

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST_DAY = date(1970, 1, 1).toordinal()


class Bad:
    """A cell that cannot be read."""

    def __init__(self, words: str) -> None:
        self.words = words


def texts(column: Any) -> list[str]:
    data, offsets = column.data, column.offsets
    if data.isascii():
        whole = data.decode("ascii")
        return [whole[start:end] for start, end in pairwise(offsets)]
    return [data[start:end].decode() for start, end in pairwise(offsets)]


def chunks(column: Any) -> list[bytes]:
    data = column.data
    return [data[start:end] for start, end in pairwise(column.offsets)]


def each(cells: list[Any], read: Callable[[Any], Any]) -> list[Any]:
    try:
        return list(map(read, cells))
    except (ValueError, OverflowError):
        return [one(cell, read) for cell in cells]


def one(cell: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(cell)
    except (ValueError, OverflowError) as error:
        return Bad(f"{cell!r:.80}: {error}")


def decimals(column: Any) -> list[Any]:
    scale = column.scale
    # By text, because arithmetic of Decimal rounds.
    return [Decimal(f"{int.from_bytes(cell, 'big', signed=True)}E{-scale}") for cell in chunks(column.unscaled)]


READERS: dict[str, Callable[[Any], list[Any]]] = {
    "boolean": lambda cells: list(map(bool, cells)),
    "int32": lambda cells: cells,
    "int64": lambda cells: cells,
    "float64": lambda cells: cells,
    "text": texts,
    "binary": chunks,
    "decimal": decimals,
    "datetime": lambda cells: each(cells, lambda us: EPOCH + timedelta(microseconds=us)),
    "day": lambda cells: each(cells, lambda days: date.fromordinal(FIRST_DAY + days)),
}


def cells(column: Any, wanted: Column) -> list[Any]:
    """The values of a field, None where there is none."""
    values, null = column.values, column.null
    if type(values) is not WIRES[wanted.kind.wire]:
        raise TypeError(f"field `{wanted.path}` came as {type(values).__name__}, declared is {wanted.kind.wire}")
    if null and not wanted.optional:
        raise TypeError(f"field `{wanted.path}` has cells without a value; declare it as `{wanted.kind.name} | None`")
    if wanted.kind.name == "json":
        # The cell of a null is empty, which is no JSON.
        found = each(texts(values.value), lambda text: json.loads(text) if text else None)
    else:
        found = READERS[wanted.kind.name](values.value)
    if null:
        return [None if gone else value for value, gone in zip(found, null)]
    return found


WIRES = {
    "boolean": t.Values_Boolean,
    "int32": t.Values_Int32,
    "int64": t.Values_Int64,
    "float64": t.Values_Float64,
    "text": t.Values_Text,
    "binary": t.Values_Binary,
    "decimal": t.Values_Decimal,
    "timestamp": t.Values_Timestamp,
    "date": t.Values_Date,
    "json": t.Values_Json,
}


def positions(batch: Any) -> list[Position]:
    shards = batch.shards
    found = zip(batch.shard_index, texts(batch.sequence), batch.sub_sequence)
    return [Position(shards[shard], sequence, sub) for shard, sequence, sub in found]


BESIDE: dict[str, Callable[[Any], list[Any]]] = {
    "partition_key": lambda batch: texts(batch.partition_key),
    "event_time": lambda batch: batch.event_us,
    "arrival_time": lambda batch: batch.arrival_us,
    "position": positions,
    "payload": lambda batch: chunks(batch.payload),
    "operation": lambda batch: [OPERATIONS[code] for code in batch.operation] if batch.operation else ["insert"] * batch.count,
}


def beside(batch: Any, wanted: Beside) -> list[Any]:
    return BESIDE[wanted.name](batch)
