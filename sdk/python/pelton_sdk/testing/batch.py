"""JSON rows as the batch that the host would send.

The rule: what the host would not send (a missing field, a number that does not fit) is refused with words.
Left to others: who calls with it.
"""

import json
from array import array
from decimal import Decimal
from itertools import accumulate
from typing import Any, Callable

from .. import shim as t
from ..write import parts, signed

NOW_MS = 1_700_000_000_000
Rows = list[dict[str, Any]]


def absent() -> Any:
    return t.BytesColumn(b"", [])


def chunks(cells: list[bytes]) -> Any:
    return t.BytesColumn(b"".join(cells), list(accumulate(map(len, cells), initial=0)))


def texts(cells: list[str]) -> Any:
    return chunks([cell.encode() for cell in cells])


def has(flags: Any, name: str) -> bool:
    """Whether an identity, of this SDK or of a component's, has a flag."""
    return any(flag.name == name for flag in flags)


def batch(declared: Any, number: int, rows: Rows, first: int, keys: tuple[Any, list[int]] | None, watermark_ms: int | None = None) -> Any:
    """`first` is the place of the first row in the whole input."""
    flags, count = declared.identity, len(rows)
    position = [0] * count if has(flags, "POSITION") else []
    key_set, key_index = keys or (t.KeySet(absent(), []), [])
    return t.Batch(
        input=number,
        count=count,
        now_ms=NOW_MS,
        seed=2**64 - 1,
        watermark_ms=watermark_ms,
        keys=key_set,
        key_index=key_index,
        shards=["test/shardId-000000000000"],
        shard_index=position,
        sequence=texts([str(first + at) for at in range(count)]) if position else absent(),
        sub_sequence=list(position),
        partition_key=texts([row.get("_partition_key", "") for row in rows]) if has(flags, "PARTITION_KEY") else absent(),
        event_us=[row.get("_event_time", 0) for row in rows] if has(flags, "EVENT_TIME") else [],
        arrival_us=[row.get("_arrival_time", 0) for row in rows] if has(flags, "ARRIVAL_TIME") else [],
        operation=b"",
        payload=texts([json.dumps(row) for row in rows]) if has(flags, "PAYLOAD") else absent(),
        fields=[column(field, rows) for field in declared.fields],
    )


def lookup(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def column(field: Any, rows: Rows) -> Any:
    found = [lookup(row, field.path) for row in rows]
    null = bytes(value is None for value in found)
    if any(null) and not field.optional:
        raise ValueError(f"field `{field.path}` has no value in some row, but is not optional")
    kind = field.kind.name
    zero, write = CELLS[kind]
    try:
        cells = write([zero if value is None else value for value in found])
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ValueError(f"field `{field.path}`: {found} is not {kind.lower()}: {error}") from None
    return t.Column(getattr(t, f"Values_{kind.capitalize()}")(cells), null if any(null) else b"")


def integers(code: str) -> Callable[[list[Any]], list[int]]:
    return lambda cells: array(code, cells).tolist()


def decimals(cells: list[Any]) -> Any:
    pairs = [parts(Decimal(str(cell))) for cell in cells]
    scale = max((scale for _, scale in pairs), default=0)
    return t.DecimalColumn(chunks([signed(number * 10 ** (scale - own)) for number, own in pairs]), scale)


# Bytes are written as text where they are UTF-8, else as a list of numbers.
CELLS: dict[str, tuple[Any, Callable[[list[Any]], Any]]] = {
    "BOOLEAN": (False, bytes),
    "INT32": (0, integers("i")),
    "DATE": (0, integers("i")),
    "INT64": (0, integers("q")),
    "TIMESTAMP": (0, integers("q")),
    "FLOAT64": (0.0, lambda cells: [float(cell) for cell in cells]),
    "TEXT": ("", texts),
    "BINARY": (b"", lambda cells: chunks([cell.encode() if isinstance(cell, str) else bytes(cell) for cell in cells])),
    "DECIMAL": (0, decimals),
    "JSON": ("", lambda cells: texts(["" if cell == "" else json.dumps(cell) for cell in cells])),
}
