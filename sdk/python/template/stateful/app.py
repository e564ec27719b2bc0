"""Clicks of a user that are not repetitions. Edit the classes and `process`; `python -m unittest` runs the folders of `cases/`."""

from pelton_sdk import Entries, Input, Key, Out, Output, Stateful, Timer, plugin, table

HOUR_MS = 3_600_000


class Click(Input):
    """What is read of a record. Fields that are not named here are not even decoded."""

    ad: str


class User(Key):
    """The fields of the step's `key:`, and what is kept of a key: which ads were clicked, forgotten after an hour."""

    user: str
    seen: Entries[str, str] = table(ttl_ms=HOUR_MS)


class First(Output):
    """What is made of a click."""

    user: str
    ad: str


@plugin
class Plugin(Stateful):
    name = "{{name}}"

    def process(self, click: Click, key: User, out: Out[First]) -> None:
        if key.seen.get(click.ad) is not None:
            return
        key.seen.put(click.ad, "yes")
        out.emit(click, First(key.user, click.ad))
        key.timers.processing_time(click.ad, out.call.now_ms + HOUR_MS)

    def fire(self, timer: Timer, key: User, out: Out[First]) -> None:
        """An hour later."""
        key.seen.delete(timer.tag)
