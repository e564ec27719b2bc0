"""Clicks and turnover of a window. Edit the classes and the three methods; `python -m unittest` runs the folders of `cases/`."""

from pelton_sdk import Accumulator, Aggregator, Input, Output, Reject, Window, plugin


class Click(Input):
    """What is read of a record. Fields that are not named here are not even decoded."""

    amount: float


class Total(Accumulator, version=1):
    """What is kept of a window."""

    clicks: int
    cents: int


class Turnover(Output):
    """What a window gives."""

    clicks: int
    cents: int


@plugin
class Plugin(Aggregator):
    name = "{{name}}"

    def fold(self, total: Total, click: Click) -> None:
        """One record more. What is refused is refused before the accumulator is changed."""
        if click.amount < 0:
            raise Reject("negative_amount", f"amount is {click.amount:g}")
        total.clicks += 1
        total.cents += round(click.amount * 100)

    def combine(self, into: Total, part: Total) -> None:
        """Two parts of one window."""
        into.clicks += part.clicks
        into.cents += part.cents

    def finish(self, total: Total, window: Window) -> Turnover | None:
        """The window has ended."""
        return Turnover(total.clicks, total.cents)
