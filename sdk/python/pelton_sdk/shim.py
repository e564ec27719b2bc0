"""The types of the interface as componentize-py would make them, for Python outside of a component: tests, and reading a plugin.

The rule: names and fields are those of `wit/*.wit`, so that the SDK is written once. Left to others: choosing between the two (`host.py`).
"""

from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any


def _record(name: str, fields: str) -> type:
    """A plain class with these fields, as a generated dataclass would be."""
    return dataclass(type(name, (), {"__annotations__": {field: Any for field in fields.split()}, "__module__": __name__}))


BytesColumn = _record("BytesColumn", "data offsets")
OptionalBytes = _record("OptionalBytes", "cells present")
DecimalColumn = _record("DecimalColumn", "unscaled scale")
Values_Boolean = _record("Values_Boolean", "value")
Values_Int32 = _record("Values_Int32", "value")
Values_Int64 = _record("Values_Int64", "value")
Values_Float64 = _record("Values_Float64", "value")
Values_Text = _record("Values_Text", "value")
Values_Binary = _record("Values_Binary", "value")
Values_Decimal = _record("Values_Decimal", "value")
Values_Timestamp = _record("Values_Timestamp", "value")
Values_Date = _record("Values_Date", "value")
Values_Json = _record("Values_Json", "value")
Column = _record("Column", "values null")
Field = _record("Field", "path kind optional doc")
KeySet = _record("KeySet", "bytes fields")
Batch = _record(
    "Batch",
    "input count now_ms seed watermark_ms keys key_index shards shard_index sequence sub_sequence partition_key event_us "
    "arrival_us operation payload fields",
)
Emitted = _record("Emitted", "output source partition_key event_us operation payload fields")
RecordError = _record("RecordError", "index code message")
TimerOps = _record("TimerOps", "key tag domain at_ms set")
DueTimers = _record("DueTimers", "keys key tag domain at_ms now_ms seed watermark_ms")
Processed = _record("Processed", "emitted errors timers")
Failure_Retry = _record("Failure_Retry", "value")
Failure_Fatal = _record("Failure_Fatal", "value")
Input = _record("Input", "name identity fields doc")
Output = _record("Output", "name fields sets doc")
Table = _record("Table", "name prefetch schema schema_version migrates_from ttl_ms")
Connector = _record("Connector", "name doc")
Manifest = _record("Manifest", "name version doc config_schema inputs outputs key tables connectors annotations")
Annotation = _record("Annotation", "name value")
Context = _record("Context", "config job step generation annotations")

# Of the interfaces aggregate, keyed, enrich, migrate-state and state.
Windows = _record("Windows", "keys key start_ms end_ms")
FoldInput = _record("FoldInput", "records groups row group accumulators")
Folded = _record("Folded", "accumulators errors")
Closing = _record("Closing", "groups firing firing_number accumulators now_ms seed watermark_ms")
Migrated = _record("Migrated", "values errors")
KeyedOutput = _record("KeyedOutput", "processed states")
Header = _record("Header", "name value")
Request = _record("Request", "row cookie connector method path headers body")
Answer = _record("Answer", "status headers body")
Outcome_Answered = _record("Outcome_Answered", "value")
Outcome_Failed = _record("Outcome_Failed", "value")
Outcome_TimedOut = _record("Outcome_TimedOut", "")
Response = _record("Response", "row cookie outcome")
Completed = _record("Completed", "processed further")
Entries = _record("Entries", "sub_keys values more")


class Kind(Enum):
    BOOLEAN, INT32, INT64, FLOAT64, TEXT, BINARY, DECIMAL, TIMESTAMP, DATE, JSON = range(10)


class Identity(Flag):
    PARTITION_KEY = auto()
    EVENT_TIME = auto()
    ARRIVAL_TIME = auto()
    POSITION = auto()
    PAYLOAD = auto()
    OPERATION = auto()


class TimeDomain(Enum):
    EVENT_TIME, PROCESSING_TIME = range(2)


class Firing(Enum):
    EARLY, ON_TIME, LATE, RETRACT = range(4)


class Level(Enum):
    TRACE, DEBUG, INFO, WARN, ERROR = range(5)


class Err(Exception):
    """The error case of a result."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value
