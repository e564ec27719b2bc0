"""Clicks that are worth something, in cents. Edit the classes and `process`; `python -m unittest` runs the folders of `cases/`."""

from pelton_sdk import Config, Input, Out, Output, Transformer, plugin, setting


class Click(Input):
    """What is read of a record. Fields that are not named here are not even decoded."""

    ad: str
    amount: float


class Sale(Output):
    """What is made of it."""

    ad: str
    cents: int


class Settings(Config):
    """The step's `config:` in the job file."""

    least: float = setting(0.0, doc="sales below this are dropped")


@plugin
class Plugin(Transformer):
    name = "{{name}}"

    def __init__(self, config: Settings) -> None:
        self.least = config.least

    def process(self, click: Click, out: Out[Sale]) -> None:
        if click.amount < 0:
            out.reject(click, "negative_amount", f"amount is {click.amount:g}")
        elif click.amount >= self.least:
            out.emit(click, Sale(click.ad, round(click.amount * 100)))
        # neither emitted nor rejected: dropped
