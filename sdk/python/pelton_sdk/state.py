"""Keyed state as an author sees it: a key of the call, its fields and its tables.

The rule: a table is reached through a key of the call, so nothing outside of it can be named; writes count when the call returns.
Left to others: bytes of a value (`accumulator.py`), who calls with which keys.
"""

import dataclasses
import json
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Iterator, TypeVar, dataclass_transform

from .accumulator import Accumulator, pack, unpack
from .fields import Column, field
from .host import host, t
from .kinds import Kind, hints, marked, split_optional
from .out import Timers
from .read import cells
from .write import chunk_column

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class TableOptions:
    """What `table(...)` says."""

    prefetch: bool = False
    ttl_ms: int | None = None
    version: int = 1
    migrate: Any = dataclasses.field(default_factory=dict)


def table(*, prefetch: bool = False, ttl_ms: int | None = None, version: int = 1, migrate: dict[int, Any] | None = None) -> Any:
    """How a table is kept. `migrate`: by version, a function from the stored bytes to a value of now; a value that is an Accumulator
    has its own version and `migrate`."""
    return TableOptions(prefetch, ttl_ms, version, migrate or {})


@dataclass(frozen=True)
class Codec:
    """A value of a table, and its bytes."""

    encode: Any
    decode: Any
    version: int
    migrates_from: tuple[int, ...]
    migrate: Any


def codec_of(annotation: Any, options: TableOptions, what: str) -> Codec:
    if isinstance(annotation, type) and issubclass(annotation, Accumulator):
        cls = annotation
        return Codec(pack, lambda data: unpack(cls, data), cls.VERSION, cls.MIGRATES_FROM, lambda version, data: pack(cls.migrate(version, data)))
    mark = marked(annotation)
    if not isinstance(mark, Kind) or mark.name not in RAW:
        raise TypeError(f"{what} is {annotation}: a table holds str, bytes or Json as bare bytes, or an Accumulator")
    encode, decode = RAW[mark.name]

    def migrate(version: int, data: bytes) -> bytes:
        if version not in options.migrate:
            raise ValueError(f"no migration of {what} from version {version} to version {options.version}")
        return encode(options.migrate[version](data))

    return Codec(encode, decode, options.version, tuple(options.migrate), migrate)


RAW = {
    "text": (str.encode, bytes.decode),
    "binary": (bytes, bytes),
    "json": (lambda value: json.dumps(value).encode(), json.loads),
}


class Value(Generic[V]):
    """One value a key: `last: Value[Last]` in a Key."""

    def __init__(self, key: "Key", number: int, codec: Codec, sub: Codec | None) -> None:
        self._key, self._number, self._codec, self._sub = key, number, codec, sub

    def get(self) -> V | None:
        return self._read(b"")

    def put(self, value: V) -> None:
        host.state.put(self._number, self._key._index, b"", self._codec.encode(value))

    def delete(self) -> None:
        host.state.delete(self._number, self._key._index, b"")

    def all(self) -> list[V | None]:
        """Of every key of the call, None where there is none: one crossing of the boundary."""
        found = host.state.get_many(self._number, list(range(self._key._count)))
        data, offsets = found.cells.data, found.cells.offsets
        return [self._codec.decode(data[offsets[index] : offsets[index + 1]]) if there else None for index, there in enumerate(found.present)]

    def put_all(self, values: list[V | None]) -> None:
        """Writes the value of every key of the call; None deletes."""
        written = chunk_column([b"" if value is None else self._codec.encode(value) for value in values])
        present = bytes(value is not None for value in values)
        host.state.put_many(self._number, list(range(self._key._count)), t.OptionalBytes(written, present))

    def _read(self, sub_key: bytes) -> V | None:
        found = host.state.get(self._number, self._key._index, sub_key)
        return None if found is None else self._codec.decode(found)


class Entries(Value[V], Generic[K, V]):
    """Many values a key, in the order of their sub-keys: `seen: Entries[str, str]` in a Key."""

    def get(self, sub_key: K) -> V | None:  # type: ignore[override]
        return self._read(self._sub.encode(sub_key))

    def put(self, sub_key: K, value: V) -> None:  # type: ignore[override]
        host.state.put(self._number, self._key._index, self._sub.encode(sub_key), self._codec.encode(value))

    def delete(self, sub_key: K) -> None:  # type: ignore[override]
        host.state.delete(self._number, self._key._index, self._sub.encode(sub_key))

    def scan(self, start: K | None = None, end: K | None = None, page: int = 100) -> Iterator[tuple[K, V]]:
        """From `start` up to but without `end`, fetched `page` at a time."""
        first = b"" if start is None else self._sub.encode(start)
        last = b"" if end is None else self._sub.encode(end)
        while True:
            found = host.state.scan(self._number, self._key._index, first, last, page)
            names, values = slices(found.sub_keys), slices(found.values)
            for name, value in zip(names, values):
                yield self._sub.decode(name), self._codec.decode(value)
            if not found.more or not names:
                return
            first = names[-1] + b"\0"


def slices(column: Any) -> list[bytes]:
    data, offsets = column.data, column.offsets
    return [data[start:end] for start, end in zip(offsets, offsets[1:])]


class State(Generic[V]):
    """The state of a keyed transformer: `state: State[Count]` in its Key; read and written as `key.state`."""


class KeyTimers:
    """Timers of the current key."""

    def __init__(self, key: "Key", timers: Timers) -> None:
        self._key, self._timers = key, timers

    def event_time(self, tag: str, at_ms: int) -> None:
        """Fires when the watermark has come to `at_ms`; a timer of the same tag is replaced."""
        self._timers.add(self._key._index, tag, t.TimeDomain.EVENT_TIME, at_ms, 1)

    def processing_time(self, tag: str, at_ms: int) -> None:
        """Fires when the clock has come to `at_ms`."""
        self._timers.add(self._key._index, tag, t.TimeDomain.PROCESSING_TIME, at_ms, 1)

    def cancel(self, tag: str, *, processing_time: bool = False) -> None:
        domain = t.TimeDomain.PROCESSING_TIME if processing_time else t.TimeDomain.EVENT_TIME
        self._timers.add(self._key._index, tag, domain, 0, 0)


@dataclass_transform(field_specifiers=(field, table))
class Key:
    """The key of the current record or timer: its fields, and its tables. The same object each time."""

    timers: KeyTimers

    def _begin(self, key_set: Any, timers: Timers, plan: "KeyPlan") -> "Key":
        self._index = 0
        self._count = max(0, len(key_set.bytes.offsets) - 1)
        self._members = [(column.name, cells(found, column)) for column, found in zip(plan.columns, key_set.fields)]
        self.timers = KeyTimers(self, timers)
        for number, found in enumerate(plan.tables):
            cls = Entries if found.sub else Value
            setattr(self, found.name, cls(self, number, found.codec, found.sub))
        return self

    def _move(self, index: int) -> "Key":
        self._index = index
        for name, values in self._members:
            setattr(self, name, values[index])
        return self


@dataclass(frozen=True)
class TablePlan:
    """A table of a key's class."""

    name: str
    codec: Codec
    sub: Codec | None
    options: TableOptions


@dataclass(frozen=True)
class KeyPlan:
    """What a class of keys says."""

    cls: type
    columns: tuple[Column, ...]
    tables: tuple[TablePlan, ...]
    state: type | None


@cache
def key_plan(cls: type | None) -> KeyPlan:
    if cls is None:
        return KeyPlan(Key, (), (), None)
    columns, tables, state = [], [], None
    for name, annotation in hints(cls).items():
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        given = getattr(cls, name, None)
        options = given if isinstance(given, TableOptions) else TableOptions()
        what = f"`{cls.__name__}.{name}`"
        if origin is Value:
            tables.append(TablePlan(name, codec_of(arguments[0], options, what), None, options))
        elif origin is Entries:
            sub = codec_of(arguments[0], TableOptions(), f"the sub-key of {what}")
            tables.append(TablePlan(name, codec_of(arguments[1], options, what), sub, options))
        elif origin is State:
            state = arguments[0]
        elif name != "timers":
            columns.append(key_column(name, annotation, given, what))
    return KeyPlan(cls, tuple(columns), tuple(tables), state)


def key_column(name: str, annotation: Any, given: Any, what: str) -> Column:
    plain, optional = split_optional(annotation)
    mark = marked(plain)
    if not isinstance(mark, Kind):
        raise TypeError(f"{what} is {annotation}, which is no kind of a key's field")
    metadata = given.metadata if isinstance(given, dataclasses.Field) else {}
    return Column(name, metadata.get("path") or name, mark, optional, metadata.get("doc", ""))
