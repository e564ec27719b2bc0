"""Write Pelton plugins in Python: a class for the fields you want, a class for what you make of them, and a method between the two.

The rule: a plugin's source runs in its tests as it runs in the host, and needs nothing but Python.
Left to others: building a component (`python -m pelton_sdk`), running a plugin in tests (`pelton_sdk.testing`).
"""

from .accumulator import Accumulator
from .config import Config, setting
from .enrich import Answer, Ask
from .export import plugin
from .failures import Fatal, Reject, Retry
from .fields import Input, Output, field
from .host import log, metrics
from .kinds import (
    ArrivalTime,
    Days,
    EventTime,
    Int32,
    Json,
    JsonText,
    Micros,
    Operation,
    PartitionKey,
    Payload,
    Position,
    StreamPosition,
)
from .out import Out
from .plugins import Aggregator, Enricher, Keyed, Stateful, Transformer
from .rows import Call, Rows
from .state import Entries, Key, State, Value, table
from .worlds import Timer, Window

__all__ = [
    "Accumulator",
    "Aggregator",
    "Answer",
    "ArrivalTime",
    "Ask",
    "Call",
    "Config",
    "Days",
    "Enricher",
    "Entries",
    "EventTime",
    "Fatal",
    "Input",
    "Int32",
    "Json",
    "JsonText",
    "Key",
    "Keyed",
    "Micros",
    "Operation",
    "Out",
    "Output",
    "PartitionKey",
    "Payload",
    "Position",
    "Reject",
    "Retry",
    "Rows",
    "State",
    "Stateful",
    "StreamPosition",
    "Timer",
    "Transformer",
    "Value",
    "Window",
    "field",
    "log",
    "metrics",
    "plugin",
    "setting",
    "table",
]
