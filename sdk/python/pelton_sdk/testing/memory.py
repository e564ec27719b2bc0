"""State and timers in memory, as the host keeps them for a plugin.

The rule: what a call wrote counts when the call returns, and is forgotten when it raises.
Left to others: when calls are made (`calls.py`).
"""

from typing import Any, Callable

from .. import shim as t
from .batch import chunks
from .results import slices


class State:
    """Tables by key and sub-key: the interface `state`."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, str], dict[bytes, bytes]] = {}
        self.keys: list[str] = []

    def during(self, keys: list[str], call: Callable[[], Any]) -> Any:
        """Runs a call that sees these keys."""
        self.keys = keys
        before = {at: dict(values) for at, values in self.entries.items()}
        try:
            return call()
        except BaseException:
            self.entries = before
            raise

    def _at(self, table: int, key: int) -> dict[bytes, bytes]:
        if key >= len(self.keys):
            raise IndexError(f"key {key} is none of the {len(self.keys)} of this call")
        return self.entries.setdefault((table, self.keys[key]), {})

    def get(self, table: int, key: int, sub_key: bytes) -> bytes | None:
        return self._at(table, key).get(bytes(sub_key))

    def put(self, table: int, key: int, sub_key: bytes, value: bytes) -> None:
        self._at(table, key)[bytes(sub_key)] = bytes(value)

    def delete(self, table: int, key: int, sub_key: bytes) -> None:
        self._at(table, key).pop(bytes(sub_key), None)

    def get_many(self, table: int, keys: list[int]) -> Any:
        found = [self.get(table, key, b"") for key in keys]
        return t.OptionalBytes(chunks([value or b"" for value in found]), bytes(value is not None for value in found))

    def put_many(self, table: int, keys: list[int], values: Any) -> None:
        for key, there, value in zip(keys, values.present, slices(values.cells)):
            if there:
                self.put(table, key, b"", value)
            else:
                self.delete(table, key, b"")

    def scan(self, table: int, key: int, start: bytes, end: bytes, limit: int) -> Any:
        values = self._at(table, key)
        found = [name for name in sorted(values) if name >= bytes(start) and (not end or name < bytes(end))]
        page = found[:limit]
        return t.Entries(chunks(page), chunks([values[name] for name in page]), len(found) > limit)


class Timers:
    """Timers: one for each key, tag and domain."""

    def __init__(self) -> None:
        self.set: dict[tuple[str, str, str], int] = {}

    def apply(self, keys: list[str], ops: Any) -> None:
        """Takes over what a call asked for."""
        tags = [tag.decode() for tag in slices(ops.tag)]
        for key, tag, domain, at_ms, what in zip(ops.key, tags, ops.domain, ops.at_ms, ops.set, strict=True):
            if what:
                self.set[keys[key], domain.name, tag] = at_ms
            else:
                self.set.pop((keys[key], domain.name, tag), None)

    def next(self, domain: str, now_ms: int) -> tuple[str, str, int] | None:
        """Takes out the first that is due: key, tag and time."""
        due = [(at_ms, at) for at, at_ms in self.set.items() if at[1] == domain and at_ms <= now_ms]
        if not due:
            return None
        at_ms, at = min(due, key=lambda pair: pair[0])
        del self.set[at]
        return at[0], at[2], at_ms
