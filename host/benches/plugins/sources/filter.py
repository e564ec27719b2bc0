"""Readings of at least some value."""

from pelton_sdk import Config, Input, Out, Output, Transformer, plugin, setting


class Reading(Input):
    device: str
    value: float


class Kept(Output):
    device: str
    value: float


class Settings(Config):
    at_least: float = setting(0.0, doc="readings below it are dropped")


@plugin
class Filter(Transformer):
    name = "filter"

    def __init__(self, config: Settings) -> None:
        self.at_least = config.at_least

    def process(self, reading: Reading, out: Out[Kept]) -> None:
        if reading.value >= self.at_least:
            out.emit(reading, Kept(reading.device, reading.value))
