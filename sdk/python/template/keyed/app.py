"""Clicks and turnover of an ad so far. Edit the classes and `process`; `python -m unittest` runs the folders of `cases/`."""

from pelton_sdk import Accumulator, Input, Key, Keyed, Out, Output, Reject, State, Timer, plugin

DAY_MS = 86_400_000


class Click(Input):
    """What is read of a record. Fields that are not named here are not even decoded."""

    amount: float


class Total(Accumulator, version=1):
    """What is kept of a key."""

    clicks: int
    cents: int


class Ad(Key):
    """The fields of the step's `key:`, and its state."""

    ad: str
    state: State[Total]


class Turnover(Output):
    """What is made of a click."""

    ad: str
    clicks: int
    cents: int


@plugin
class Plugin(Keyed):
    name = "{{name}}"

    def process(self, click: Click, key: Ad, out: Out[Turnover]) -> None:
        if click.amount < 0:
            raise Reject("negative_amount", f"amount is {click.amount:g}")
        key.state.clicks += 1
        key.state.cents += round(click.amount * 100)
        out.emit(click, Turnover(key.ad, key.state.clicks, key.state.cents))
        # Each click puts the end off.
        key.timers.processing_time("forget", out.call.now_ms + DAY_MS)

    def fire(self, timer: Timer, key: Ad, out: Out[Turnover]) -> None:
        """A day without a click."""
        key.clear()
