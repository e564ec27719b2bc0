"""Readings of at least some value, by columns."""

from pelton_sdk import Config, Input, Out, Output, Rows, Transformer, plugin, setting


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

    def process_all(self, readings: Rows[Reading], out: Out[Kept]) -> None:
        values, devices, at_least = readings.column("value"), readings.column("device"), self.at_least
        sources = [row for row, value in enumerate(values) if value >= at_least]
        out.emit_columns(Kept, sources, device=[devices[row] for row in sources], value=[values[row] for row in sources])
