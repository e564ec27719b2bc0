"""What a plugin may call in its host (log lines, figures, state), and the types that cross the boundary.

The rule: the same source runs in a component and under plain Python; which of the two is found out here, once.
Left to others: tables and keys (`state.py`).
"""

import json
import sys
import time
from types import SimpleNamespace
from typing import Any

try:
    from componentize_py_types import Err
    from wit_world.imports import log as _log
    from wit_world.imports import metrics as _metrics
    from wit_world.imports import types as t

    INSIDE = True
except ImportError:
    from . import shim as t
    from .shim import Err

    _log = _metrics = None
    INSIDE = False

try:
    from wit_world.imports import state as _state
except ImportError:
    _state = None

__all__ = ["INSIDE", "Err", "host", "interface", "log", "metrics", "t"]


def interface(name: str) -> Any:
    """The types of an exported interface."""
    if not INSIDE:
        return t
    from importlib import import_module

    return import_module(f"wit_world.exports.{name}")


# `state` is that of a test outside of a component.
host = SimpleNamespace(state=_state, now_ms=0)

LEVELS = ["trace", "debug", "info", "warn", "error"]


class Log:
    """Lines of the host's log, with job and step. Each crosses the boundary: once a batch, not once a record."""

    def write(self, level: str, message: str, fields: dict[str, Any] | None = None) -> None:
        text = json.dumps(fields) if fields else ""
        if INSIDE:
            _log.write(_log.Level[level.upper()], str(message), text)
        else:
            print(f"{level}: {message} {text}".rstrip(), file=sys.__stderr__)

    def enabled(self, level: str) -> bool:
        least = _log.enabled().value if INSIDE else LEVELS.index("info")
        return LEVELS.index(level) >= least

    def trace(self, message: str, **fields: Any) -> None:
        self.write("trace", message, fields)

    def debug(self, message: str, **fields: Any) -> None:
        self.write("debug", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self.write("info", message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        self.write("warn", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self.write("error", message, fields)


class Metrics:
    """Figures beside the host's own. Each call crosses the boundary: once a batch, not once a record."""

    def counter(self, name: str, delta: int = 1) -> None:
        if INSIDE:
            _metrics.counter_add(name, delta)

    def gauge(self, name: str, value: float) -> None:
        if INSIDE:
            _metrics.gauge_set(name, value)

    def histogram(self, name: str, values: list[float]) -> None:
        if INSIDE:
            _metrics.histogram_record(name, values)


log = Log()
metrics = Metrics()


class Lines:
    """What is printed in a component, as lines of the log: there is no stdout."""

    def __init__(self, level: str) -> None:
        self.level, self.line, self.muted = level, "", False

    def write(self, text: str) -> int:
        *lines, self.line = (self.line + text).split("\n")
        for line in lines:
            if line and not self.muted:
                log.write(self.level, line)
        return len(text)

    def flush(self) -> None:
        pass


def replace_surroundings() -> None:
    """A component has no clock but the batch's, and no stdout; Python's own would trap."""
    sys.stdout, sys.stderr = Lines("info"), Lines("warn")
    time.time = lambda: host.now_ms / 1000
    time.time_ns = lambda: host.now_ms * 1_000_000
    time.monotonic = time.perf_counter = lambda: 0.0
    time.monotonic_ns = time.perf_counter_ns = lambda: 0
