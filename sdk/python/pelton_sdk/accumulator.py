"""Accumulators and state: a dataclass, and the bytes that it is in the host's keeping.

The rule: a version byte, then the fields in order, little endian; what another version wrote is read by `migrate` alone.
Left to others: when it is read and written (the worlds).
"""

import dataclasses
import json
import struct
import typing
from functools import cache
from typing import Any, Callable, ClassVar, Self, dataclass_transform

from .kinds import Kind, hints, marked, split_optional

Put = Callable[[bytearray, Any], None]
Take = Callable[["Reader"], Any]


class Reader:
    """Takes values off the front of some bytes."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.at, self.what = data, 1, what

    def take(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise ValueError(f"{self.what} is too short: it has {len(self.data)} bytes")
        return self.data[start : self.at]

    def ended(self) -> None:
        if self.at < len(self.data):
            raise ValueError(f"{self.what} has {len(self.data) - self.at} bytes too many")


@dataclass_transform()
class Accumulator:
    """Members with annotations: bool, int (64 bits), float, str, bytes, list[...], `... | None`, and Json for the rest. Members without a
    default begin empty."""

    VERSION: ClassVar[int] = 1
    MIGRATES_FROM: ClassVar[tuple[int, ...]] = ()

    def __init_subclass__(cls, version: int | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if version is not None:
            cls.VERSION = version
        if not 1 <= cls.VERSION <= 255:
            raise TypeError(f"the version of `{cls.__name__}` is {cls.VERSION}, expected 1 to 255")
        for name, annotation in hints(cls).items():
            if not hasattr(cls, name) and typing.get_origin(annotation) is not ClassVar:
                setattr(cls, name, empty(cls, name))
        dataclasses.dataclass(cls)

    def encode(self) -> bytes:
        """Without the version byte. Override it with `decode` for bytes of your own."""
        to = bytearray()
        for name, (put, _) in codecs(type(self)).items():
            put(to, getattr(self, name))
        return bytes(to)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        reader = Reader(b"\0" + data, f"`{cls.__name__}`")
        values = {name: take(reader) for name, (_, take) in codecs(cls).items()}
        reader.ended()
        return cls(**values)

    @classmethod
    def migrate(cls, version: int, data: bytes) -> Self:
        """Reads what an older version wrote, version byte included. Name it in MIGRATES_FROM. What it raises refuses one value."""
        raise ValueError(f"no migration of `{cls.__name__}` from version {version} to version {cls.VERSION}")


def empty(cls: type, name: str) -> Any:
    """The default of a member without one."""
    annotation = hints(cls)[name]
    plain, optional = split_optional(annotation)
    if optional:
        return None
    if typing.get_origin(plain) in (list, dict) or plain in (list, dict):
        return dataclasses.field(default_factory=typing.get_origin(plain) or plain)
    mark = marked(plain)
    if isinstance(mark, Kind) and mark.name == "json":
        return None
    base = typing.get_args(plain)[0] if typing.get_origin(plain) is typing.Annotated else plain
    return base()


def pack(cell: Accumulator) -> bytes:
    return bytes((cell.VERSION,)) + cell.encode()


def unpack(cls: type[Accumulator], cell: bytes) -> Any:
    """An empty cell is a new one."""
    if not cell:
        return cls()
    if cell[0] != cls.VERSION:
        raise ValueError(f"`{cls.__name__}` has version {cell[0]}, this plugin reads version {cls.VERSION}")
    return cls.decode(cell[1:])


@cache
def codecs(cls: type) -> dict[str, tuple[Put, Take]]:
    known = hints(cls)
    return {field.name: codec(known[field.name], f"{cls.__name__}.{field.name}") for field in dataclasses.fields(cls)}


def codec(annotation: Any, what: str) -> tuple[Put, Take]:
    plain, optional = split_optional(annotation)
    put, take = required(plain, what)
    if not optional:
        return put, take

    def put_optional(to: bytearray, value: Any) -> None:
        to.append(value is not None)
        if value is not None:
            put(to, value)

    return put_optional, lambda reader: take(reader) if reader.take(1)[0] else None


def required(annotation: Any, what: str) -> tuple[Put, Take]:
    mark = marked(annotation)
    if isinstance(mark, Kind) and mark.name in FIXED:
        return fixed(FIXED[mark.name], what)
    if isinstance(mark, Kind) and mark.name in ("text", "binary", "json"):
        return {"text": TEXT, "binary": CHUNK, "json": JSON}[mark.name]
    if typing.get_origin(annotation) is list:
        return listed(codec(typing.get_args(annotation)[0], what))
    if annotation in (dict, list) or typing.get_origin(annotation) is dict:
        return JSON
    raise TypeError(f"`{what}` is {annotation}, which an accumulator cannot keep: take int, float, bool, str, bytes, list[...] or Json")


FIXED = {"boolean": struct.Struct("<?"), "int32": struct.Struct("<i"), "int64": struct.Struct("<q"), "float64": struct.Struct("<d")}
LENGTH = struct.Struct("<I")


def fixed(form: struct.Struct, what: str) -> tuple[Put, Take]:
    def put(to: bytearray, value: Any) -> None:
        try:
            to += form.pack(value)
        except struct.error as error:
            raise TypeError(f"`{what}` is {value!r}: {error}") from None

    return put, lambda reader: form.unpack(reader.take(form.size))[0]


def put_chunk(to: bytearray, value: bytes) -> None:
    to += LENGTH.pack(len(value))
    to += value


def take_chunk(reader: Reader) -> bytes:
    return reader.take(LENGTH.unpack(reader.take(LENGTH.size))[0])


CHUNK: tuple[Put, Take] = (put_chunk, take_chunk)
TEXT: tuple[Put, Take] = (lambda to, value: put_chunk(to, value.encode()), lambda reader: take_chunk(reader).decode())
JSON: tuple[Put, Take] = (lambda to, value: put_chunk(to, json.dumps(value).encode()), lambda reader: json.loads(take_chunk(reader)))


def listed(element: tuple[Put, Take]) -> tuple[Put, Take]:
    put_one, take_one = element

    def put(to: bytearray, values: list[Any]) -> None:
        to += LENGTH.pack(len(values))
        for value in values:
            put_one(to, value)

    return put, lambda reader: [take_one(reader) for _ in range(LENGTH.unpack(reader.take(LENGTH.size))[0])]
