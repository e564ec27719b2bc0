"""The five kinds of plugin, as classes to inherit from.

The rule: a plugin is a class with a `name`, and methods whose annotations say what is read and made.
Left to others: calling them (`worlds.py`).
"""

from typing import Any, ClassVar


def inherited(method: Any) -> Any:
    """Marks a method that says nothing of a plugin's parts."""
    method.inherited = True
    return method


class Plugin:
    """What every plugin has. `__init__(self, config: Settings)` runs once an instance; raise ValueError there to refuse a config."""

    name: ClassVar[str]
    version: ClassVar[str] = "0.1.0"
    doc: ClassVar[str] = ""
    connectors: ClassVar[dict[str, str]] = {}
    world: ClassVar[str]

    @classmethod
    def parts(cls, config: Any) -> dict[str, Any]:
        """Classes that depend on the config, in place of those that annotations name: `input`, `output`, `key`, `accumulator`, `connectors`."""
        return {}


class Transformer(Plugin):
    """Records in, records out: `process(self, row: Click, out: Out[Sale])`, or `process_all(self, rows: Rows[Click], out: Out[Sale])`."""

    world = "transformer"


class Aggregator(Plugin):
    """`fold(self, total: Total, row: Click)`, `combine(self, into: Total, part: Total)`, `finish(self, total: Total, window: Window) -> Turnover | None`."""

    world = "aggregator"


class Keyed(Plugin):
    """State in, state out, by key: `process(self, row: Click, key: Ad, out: Out[Count])`, and `fire(self, timer: Timer, key: Ad, out: Out[Count])`."""

    world = "keyed-transformer"

    @inherited
    def fire(self, timer: Any, key: Any, out: Any) -> None:
        """A timer that nobody asked for is passed over."""


class Stateful(Plugin):
    """Tables of state by key: `process(self, row: Left | Right, key: User, out: Out[Seen])`, and `fire(self, timer: Timer, key: User, out: Out[Seen])`."""

    world = "stateful-transformer"

    @inherited
    def fire(self, timer: Any, key: Any, out: Any) -> None:
        """A timer that nobody asked for is passed over."""


class Enricher(Plugin):
    """`prepare(self, row: Click, ask: Ask)` and `complete(self, row: Click, answers: list[Answer], out: Out[Scored], ask: Ask)`. It keeps no state."""

    world = "enricher"
