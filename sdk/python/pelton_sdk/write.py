"""Lists of Python values as output columns.

The rule: a column is checked and written at once, by what C does fast; when that fails, the cell at fault is looked for and named.
Left to others: which cells make a row (`out.py`).
"""

import json
from array import array
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import accumulate
from typing import Any, Callable

from .fields import Column
from .host import t
from .kinds import OPERATIONS
from .read import EPOCH, FIRST_DAY, WIRES

MICROSECOND = timedelta(microseconds=1)
ABSENT = t.BytesColumn(b"", [])


def chunk_column(cells: list[bytes]) -> Any:
    return t.BytesColumn(b"".join(cells), list(accumulate(map(len, cells), initial=0)))


def text_column(cells: list[str]) -> Any:
    whole = "".join(cells)
    if whole.isascii():
        return t.BytesColumn(whole.encode("ascii"), list(accumulate(map(len, cells), initial=0)))
    # Half a character (a lone surrogate) has no UTF-8.
    return chunk_column([cell.encode("utf-8", "replace") for cell in cells])


def integers(code: str) -> Callable[[list[Any]], list[int]]:
    def write(cells: list[Any]) -> list[int]:
        array(code, cells)
        return cells

    return write


def floats(cells: list[Any]) -> list[float]:
    return array("d", cells).tolist()


def booleans(cells: list[Any]) -> bytes:
    if any(type(cell) is not bool for cell in cells):
        raise TypeError("expected True or False")
    return bytes(cells)


def micros(moment: Any) -> int:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise TypeError("expected a datetime with a time zone, such as datetime.now(timezone.utc)")
    return (moment - EPOCH) // MICROSECOND


def days(day: Any) -> int:
    if not isinstance(day, date) or isinstance(day, datetime):
        raise TypeError("expected a date")
    return day.toordinal() - FIRST_DAY


def binaries(cells: list[Any]) -> Any:
    if any(not isinstance(cell, (bytes, bytearray, memoryview)) for cell in cells):
        raise TypeError("expected bytes")
    return chunk_column(cells)


def parts(value: Any) -> tuple[int, int]:
    """Unscaled number and scale of a decimal, exactly."""
    if isinstance(value, float):
        raise TypeError("a float is no exact decimal: give a Decimal, an int or text")
    sign, digits, exponent = Decimal(value).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("is not finite")
    number = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    return (number, -exponent) if exponent <= 0 else (number * 10**exponent, 0)


def signed(number: int) -> bytes:
    return number.to_bytes(((number if number >= 0 else ~number).bit_length() // 8) + 1, "big", signed=True)


def decimals(cells: list[Any]) -> Any:
    """A column has one scale: the largest of its cells."""
    pairs = [parts(cell) for cell in cells]
    scale = max((scale for _, scale in pairs), default=0)
    return t.DecimalColumn(chunk_column([signed(number * 10 ** (scale - own)) for number, own in pairs]), scale)


WRITERS: dict[str, Callable[[list[Any]], Any]] = {
    "boolean": booleans,
    "int32": integers("i"),
    "int64": integers("q"),
    "float64": floats,
    "text": text_column,
    "binary": binaries,
    "decimal": decimals,
    "datetime": lambda cells: list(map(micros, cells)),
    "day": lambda cells: list(map(days, cells)),
    "json": lambda cells: text_column([json.dumps(cell, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for cell in cells]),
}

ZEROS: dict[str, Any] = {
    "boolean": False,
    "text": "",
    "binary": b"",
    "decimal": Decimal(0),
    "datetime": datetime(1970, 1, 1, tzinfo=timezone.utc),
    "day": date(1970, 1, 1),
}


def column(cells: list[Any], declared: Column) -> Any:
    """A column of a field; None is null."""
    null = b""
    if None in cells:
        if not declared.optional:
            raise TypeError(f"None is no {declared.kind.name}; declare it as `... | None`")
        null = bytes(cell is None for cell in cells)
        zero = ZEROS.get(declared.kind.name, 0)
        cells = [zero if cell is None else cell for cell in cells]
    return t.Column(WIRES[declared.kind.wire](WRITERS[declared.kind.name](cells)), null)


def fault(cells: list[Any], declared: Column) -> tuple[int, str]:
    """Place and words of the first cell that cannot be written."""
    for place, cell in enumerate(cells):
        try:
            column([cell], declared)
        except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
            return place, f"{cell!r:.60} is no {declared.kind.name}: {error}"
    return 0, "the cells do not fit together"


def operations(cells: list[str]) -> bytes:
    return bytes(OPERATIONS.index(cell) for cell in cells)
