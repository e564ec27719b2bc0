"""The aggregator of the conformance suite (`sdk/conformance/README.md`), in Python.

The rule: what a record asks for stands in its `op`. Left to others: the cases.
"""

from pelton_sdk import Accumulator, Aggregator, Config, Input, Output, Reject, Window, plugin


class Asked(Input):
    op: str
    amount: float | None
    name: str | None


class Folded(Accumulator, version=1):
    records: int
    total: float
    least: float | None
    names: list[str]


class Result(Output):
    records: int
    total: float
    least: float | None
    names: str


class Settings(Config):
    empty: bool = False


def least(left: float | None, right: float | None) -> float | None:
    return min((one for one in (left, right) if one is not None), default=None)


@plugin
class Conformance(Aggregator):
    name = "conformance-aggregator"

    def __init__(self, config: Settings) -> None:
        self.config = config

    def fold(self, total: Folded, row: Asked) -> None:
        if row.op == "reject":
            raise Reject("refused", f"{'null' if row.name is None else row.name} is refused")
        if row.op == "trap":
            raise RuntimeError("the record asks for a trap")
        if row.op != "add":
            raise Reject("unknown_op", row.op)
        total.records += 1
        total.total += row.amount or 0.0
        total.least = least(total.least, row.amount)
        if row.name is not None:
            total.names.append(row.name)

    def combine(self, into: Folded, part: Folded) -> None:
        into.records += part.records
        into.total += part.total
        into.least = least(into.least, part.least)
        into.names += part.names

    def finish(self, total: Folded, window: Window) -> Result | None:
        if self.config.empty and total.total == 0:
            return None
        return Result(total.records, total.total, total.least, ",".join(total.names))
