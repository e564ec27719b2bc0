"""What a plugin gave back, as JSON rows; checked as the host checks it.

The rule: a broken promise of the interface is an error that names the output and the field.
Left to others: comparing rows.
"""

import json
import math
from decimal import Decimal
from typing import Any

from ..kinds import OPERATIONS
from .batch import has

Placed = list[tuple[int, dict[str, Any]]]


def placed(manifest: Any, processed: Any, count: int, first: int = 0, keys: list[Any] | None = None) -> Placed:
    """Rows in the order of the records, groups or timers that they come from, each with its place."""
    found: Placed = []
    seen = set()
    for emitted in processed.emitted:
        if emitted.output in seen:
            raise AssertionError(f"output {emitted.output} is emitted twice in one call")
        seen.add(emitted.output)
        found += rows_of(manifest, emitted, count, keys)
    for error in processed.errors:
        if error.index >= count:
            raise AssertionError(f"record {error.index} is refused, but {count} were given")
        found.append((error.index, {"_reject": {"index": error.index + first, "code": error.code, "message": error.message}}))
    return sorted(found, key=lambda pair: pair[0])


def rows_of(manifest: Any, emitted: Any, count: int, keys: list[Any] | None) -> Placed:
    if emitted.output >= len(manifest.outputs):
        raise AssertionError(f"there is no output {emitted.output}")
    declared = manifest.outputs[emitted.output]
    length = len(emitted.source)
    if len(declared.fields) != len(emitted.fields):
        raise AssertionError(f"output `{declared.name}` has {len(declared.fields)} fields, {len(emitted.fields)} were emitted")
    beside = besides(declared, emitted, length)
    columns = [(field.path, cells_of(field, column, length)) for field, column in zip(declared.fields, emitted.fields)]
    found: Placed = []
    for at, source in enumerate(emitted.source):
        if source >= count:
            raise AssertionError(f"a row comes from record {source}, but {count} were given")
        row: dict[str, Any] = {}
        if keys is not None and keys[source] is not None:
            row["_key"] = keys[source]
        if len(manifest.outputs) > 1:
            row["_output"] = declared.name
        row |= {name: cells[at] for name, cells in beside}
        row |= {path: cells[at] for path, cells in columns}
        found.append((source, row))
    return found


def besides(declared: Any, emitted: Any, length: int) -> list[tuple[str, list[Any]]]:
    found = {
        "PARTITION_KEY": [cell.decode() for cell in slices(emitted.partition_key)],
        "EVENT_TIME": list(emitted.event_us),
        "PAYLOAD": [shown(cell) for cell in slices(emitted.payload)],
        "OPERATION": [OPERATIONS[code] for code in emitted.operation],
    }
    for name, cells in found.items():
        expected = length if has(declared.sets, name) else 0
        if len(cells) != expected:
            raise AssertionError(f"output `{declared.name}`: {name.lower()} has {len(cells)} cells, expected {expected}")
    return [(f"_{name.lower()}", cells) for name, cells in found.items() if has(declared.sets, name)]


def slices(column: Any) -> list[bytes]:
    offsets = column.offsets
    if offsets and (offsets[0] != 0 or offsets[-1] != len(column.data) or sorted(offsets) != list(offsets)):
        raise AssertionError(f"offsets {offsets} do not divide {len(column.data)} bytes")
    return [bytes(column.data[start:end]) for start, end in zip(offsets, offsets[1:])]


def shown(data: bytes) -> Any:
    """Bytes as text where they are UTF-8, else as a list of numbers."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


def cells_of(field: Any, column: Any, count: int) -> list[Any]:
    kind = type(column.values).__name__.removeprefix("Values_").upper()
    if kind != field.kind.name:
        raise AssertionError(f"field `{field.path}` is declared as {field.kind.name}, its cells are {kind}")
    cells = plain_cells(kind, column.values.value)
    if len(cells) != count or len(column.null) not in (0, count):
        raise AssertionError(f"field `{field.path}` has {len(cells)} cells and {len(column.null)} nulls for {count} rows")
    if any(column.null) and not field.optional:
        raise AssertionError(f"field `{field.path}` has no value, but is not optional")
    return [None if gone else read(kind, cell) for cell, gone in zip(cells, column.null or bytes(count))]


def plain_cells(kind: str, value: Any) -> list[Any]:
    if kind == "DECIMAL":
        return [Decimal(f"{int.from_bytes(cell, 'big', signed=True)}E{-value.scale}") for cell in slices(value.unscaled)]
    return slices(value) if kind in ("TEXT", "BINARY", "JSON") else list(value)


def read(kind: str, cell: Any) -> Any:
    if kind == "DECIMAL":
        text = f"{cell:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if kind == "FLOAT64" and not math.isfinite(cell):
        return str(cell)
    return {"BOOLEAN": bool, "TEXT": bytes.decode, "BINARY": shown, "JSON": json.loads}.get(kind, lambda value: value)(cell)
