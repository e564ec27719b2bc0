"""The transformer of the conformance suite (`sdk/conformance/README.md`), in Python.

The rule: what a record asks for stands in its `op`. Left to others: the cases.
"""

from datetime import date, datetime, timezone
from decimal import Decimal

from pelton_sdk import (
    Config,
    EventTime,
    Fatal,
    Input,
    Int32,
    JsonText,
    Out,
    Output,
    PartitionKey,
    Reject,
    Retry,
    StreamPosition,
    Transformer,
    log,
    metrics,
    plugin,
)

FIELDS = ("flag", "small", "big", "ratio", "name", "blob", "price", "at", "day", "extra")


class Asked(Input):
    op: str
    flag: bool | None
    small: Int32 | None
    big: int | None
    ratio: float | None
    name: str | None
    blob: bytes | None
    price: Decimal | None
    at: datetime | None
    day: date | None
    extra: JsonText | None
    time: EventTime
    key: PartitionKey
    place: StreamPosition


class Copied(Output, name="out"):
    op: str
    flag: bool | None = None
    small: Int32 | None = None
    big: int | None = None
    ratio: float | None = None
    name: str | None = None
    blob: bytes | None = None
    price: Decimal | None = None
    at: datetime | None = None
    day: date | None = None
    extra: JsonText | None = None


class Other(Output):
    name: str | None
    nth: int
    time: EventTime


class Settings(Config):
    factor: float = 1.0
    prefix: str = ""


BOUNDS = Copied(
    op="bounds",
    flag=True,
    small=-2147483648,
    big=9223372036854775807,
    ratio=-0.0,
    name="ä€😀\0",
    blob=b"\x00\xff\x80",
    price=Decimal("-99999999999999999999.999999999999999999"),
    at=datetime(9999, 12, 31, 23, 59, 59, 999999, timezone.utc),
    day=date(1, 1, 1),
    extra='{"a":[1,null,"x"]}',
)


@plugin
class Conformance(Transformer):
    name = "conformance-transformer"

    def __init__(self, config: Settings) -> None:
        if config.factor < 0:
            raise ValueError("factor is negative")
        self.config = config

    def process(self, row: Asked, out: Out[Copied | Other]) -> None:
        op = getattr(self, f"op_{row.op}", None)
        if op is None:
            raise Reject("unknown_op", row.op)
        op(row, out)

    def op_copy(self, row: Asked, out: Out[Copied | Other]) -> None:
        copied = Copied(row.op, *(getattr(row, name) for name in FIELDS))
        if copied.ratio is not None:
            copied.ratio *= self.config.factor
        if copied.name is not None:
            copied.name = self.config.prefix + copied.name
        out.emit(row, copied)

    def op_drop(self, row: Asked, out: Out[Copied | Other]) -> None:
        pass

    def op_split(self, row: Asked, out: Out[Copied | Other]) -> None:
        for nth in range(row.big or 0):
            out.emit(row, Other(row.name, nth, row.time + nth * 1_000_000))

    def op_both(self, row: Asked, out: Out[Copied | Other]) -> None:
        self.op_copy(row, out)
        out.emit(row, Other(row.name, -1, row.time))

    def op_reject(self, row: Asked, out: Out[Copied | Other]) -> None:
        out.reject(row, "refused", f"{'null' if row.name is None else row.name} is refused")

    def op_late(self, row: Asked, out: Out[Copied | Other]) -> None:
        self.op_both(row, out)
        self.op_reject(row, out)
        self.op_both(row, out)

    def op_bounds(self, row: Asked, out: Out[Copied | Other]) -> None:
        out.emit(row, BOUNDS)

    def op_nulls(self, row: Asked, out: Out[Copied | Other]) -> None:
        out.emit(row, Copied("nulls"))

    def op_who(self, row: Asked, out: Out[Copied | Other]) -> None:
        out.emit(row, Copied("who", name=row.key, big=row.place.sub_sequence))

    def op_where(self, row: Asked, out: Out[Copied | Other]) -> None:
        out.emit(row, Copied("where", name=row.place.shard, big=row.place.sub_sequence))

    def op_log(self, row: Asked, out: Out[Copied | Other]) -> None:
        log.info(str(row.name))
        metrics.counter("logged")

    def op_trap(self, row: Asked, out: Out[Copied | Other]) -> None:
        raise RuntimeError("the record asks for a trap")

    def op_fatal(self, row: Asked, out: Out[Copied | Other]) -> None:
        raise Fatal(row.name)

    def op_retry(self, row: Asked, out: Out[Copied | Other]) -> None:
        raise Retry(row.name)
