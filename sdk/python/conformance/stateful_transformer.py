"""The stateful transformer of the conformance suite (`sdk/conformance/README.md`), in Python.

The rule: what a record asks for stands in its `op`. Left to others: the cases.
"""

from typing import Any, Literal

from pelton_sdk import Accumulator, Config, Entries, Input, Key, Out, Output, Reject, Stateful, Timer, Value, plugin, table


class Asked(Input):
    op: str
    name: str | None
    value: int | None
    text: str | None


class Left(Asked):
    pass


class Right(Asked):
    pass


class Told(Output):
    key: str
    what: str
    text: str | None = None
    number: int | None = None


class Bare(Key):
    """Version 1 of a value is the bare text."""

    key: str
    values: Value[str] = table(prefetch=True)
    lists: Entries[str, str]


class Text(Accumulator, version=2):
    """Version 2 of a value: the byte 02, which the SDK writes, and the text."""

    MIGRATES_FROM = (1,)
    text: str

    def encode(self) -> bytes:
        return self.text.encode()

    @classmethod
    def decode(cls, data: bytes) -> "Text":
        return cls(data.decode())

    @classmethod
    def migrate(cls, version: int, data: bytes) -> "Text":
        if data == b"bad":
            raise Reject("not_migrated", "bad is refused")
        return cls(data.decode())


class Versioned(Key):
    key: str
    values: Value[Text] = table(prefetch=True)
    lists: Entries[str, str]


class Settings(Config):
    version: Literal[1, 2] = 1


@plugin
class Conformance(Stateful):
    name = "conformance-stateful"

    def __init__(self, config: Settings) -> None:
        self.kept = Text if config.version == 2 else str

    @classmethod
    def parts(cls, config: Settings) -> dict[str, Any]:
        return {"key": Versioned if config.version == 2 else Bare}

    def process(self, row: Left | Right, key: Bare, out: Out[Told]) -> None:
        if row.op == "watermark":
            out.emit(row, Told(key.key, "watermark", number=out.call.watermark_ms))
            return
        op = getattr(self, f"op_{row.op}", None)
        if op is None:
            raise Reject("unknown_op", row.op)
        for told in op(row, key) or ():
            out.emit(row, Told(key.key, *told))

    def fire(self, timer: Timer, key: Bare, out: Out[Told]) -> None:
        out.emit(timer, Told(key.key, "fired", timer.tag, timer.at_ms))
        if timer.tag == "again" and key.values.get() is not None:
            key.timers.event_time("again", timer.at_ms + 1000)

    def op_put(self, row: Asked, key: Bare) -> None:
        key.values.put(self.kept(row.text))

    def op_get(self, row: Asked, key: Bare) -> Any:
        value = key.values.get()
        yield "get", getattr(value, "text", value), None

    def op_delete(self, row: Asked, key: Bare) -> None:
        key.values.delete()

    def op_push(self, row: Asked, key: Bare) -> None:
        key.lists.put(row.name, row.text)

    def op_pull(self, row: Asked, key: Bare) -> Any:
        yield "pull", key.lists.get(row.name), None

    def op_remove(self, row: Asked, key: Bare) -> None:
        key.lists.delete(row.name)

    def op_scan(self, row: Asked, key: Bare) -> Any:
        for name, value in key.lists.scan(start=row.name, page=row.value or 100):
            yield name, value, None

    def op_many(self, row: Asked, key: Bare) -> Any:
        yield "many", None, sum(value is not None for value in key.values.all())

    def op_timer(self, row: Asked, key: Bare) -> None:
        key.timers.event_time(row.name, row.value)

    def op_clock(self, row: Asked, key: Bare) -> None:
        key.timers.processing_time(row.name, row.value)

    def op_cancel(self, row: Asked, key: Bare) -> None:
        key.timers.cancel(row.name)

    def op_side(self, row: Asked, key: Bare) -> Any:
        yield "left" if isinstance(row, Left) else "right", None, None

    def op_reject(self, row: Asked, key: Bare) -> None:
        key.values.put(self.kept(row.text))
        raise Reject("refused", f"{row.name} is refused")

    def op_late(self, row: Asked, key: Bare) -> Any:
        yield "late", None, None
        self.op_timer(row, key)
        self.op_reject(row, key)

    def op_trap(self, row: Asked, key: Bare) -> None:
        key.values.put(self.kept(row.text))
        raise RuntimeError("the record asks for a trap")
