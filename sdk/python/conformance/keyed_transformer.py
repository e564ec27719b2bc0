"""The keyed transformer of the conformance suite (`sdk/conformance/README.md`), in Python.

The rule: what a record asks for stands in its `op`. Left to others: the cases.
"""

from pelton_sdk import Accumulator, Input, Key, Keyed, Out, Output, Reject, State, Timer, plugin


class Asked(Input):
    op: str
    value: int | None


class Count(Accumulator):
    count: int
    total: int


class ByKey(Key):
    key: str
    state: State[Count]


class Seen(Output):
    key: str
    count: int
    total: int


def seen(key: ByKey) -> Seen:
    return Seen(key.key, key.state.count, key.state.total)


@plugin
class Conformance(Keyed):
    name = "conformance-keyed"

    def process(self, row: Asked, key: ByKey, out: Out[Seen]) -> None:
        match row.op:
            case "add":
                key.state.count += 1
                key.state.total += row.value or 0
                out.emit(row, seen(key))
            case "clear":
                key.clear()
                out.emit(row, Seen(key.key, 0, 0))
            case "timer":
                key.timers.event_time("timer", row.value)
            case "reject":
                raise Reject("refused", f"{key.key} is refused")
            case "trap":
                raise RuntimeError("the record asks for a trap")
            case _:
                raise Reject("unknown_op", row.op)

    def fire(self, timer: Timer, key: ByKey, out: Out[Seen]) -> None:
        out.emit(timer, seen(key))
