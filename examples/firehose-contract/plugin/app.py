"""Runs a Lambda function that transforms records for Firehose: `lambda_function.lambda_handler`, unchanged.

What it answers becomes what a step does: `Ok` is a row, `Dropped` is none, `ProcessingFailed` is a dead letter.
"""

from functools import cache
from typing import Any, Literal

import contract
from lambda_function import lambda_handler
from pelton_sdk import ArrivalTime, Config, Input, Out, Output, PartitionKey, Rows, StreamPosition, Transformer, plugin, setting

Kind = Literal["text", "int64", "float64", "boolean"]
TYPES: dict[str, Any] = {"text": str, "int64": int, "float64": float, "boolean": bool}


class Record(Input):
    """A record as it is in the stream: `payload` is the one field of `format: raw`."""

    payload: bytes
    key: PartitionKey
    arrival: ArrivalTime
    position: StreamPosition


class Settings(Config):
    """The step's `config:` in the job file."""

    fields: dict[str, Kind] = setting(doc="fields of what the function makes, and their kinds; one that a record lacks is null")


@cache
def row_class(fields: tuple[tuple[str, str], ...]) -> type:
    """The class of what goes out: its fields are those of the config."""
    return Output.of(**{name: TYPES[kind] | None for name, kind in fields})


def asked(records: list[Record], seed: int) -> dict[str, list[Any]]:
    """What the function answers for some records. Whatever it throws comes out of here."""
    return contract.results(lambda_handler(contract.event(records, seed), contract.context(seed)))


@plugin
class FirehoseContract(Transformer):
    name = "firehose-contract"

    def __init__(self, config: Settings) -> None:
        self.fields = config.fields
        self.row = row_class(tuple(config.fields.items()))

    @classmethod
    def parts(cls, config: Settings) -> dict[str, Any]:
        wrong = [name for name in config.fields if not name.isidentifier() or name.startswith("_")]
        if wrong or not config.fields:
            raise ValueError(f"`fields` names {wrong or 'nothing'}; a name is letters, digits and `_`, and a letter is first")
        return {"output": row_class(tuple(config.fields.items()))}

    def process_all(self, rows: Rows[Record], out: Out[Any]) -> None:
        records = list(rows)
        seed = rows.call.seed
        try:
            answer = asked(records, seed)
        except Exception:
            # Firehose would call again with all of them, and in the end give all of them up. Here each is asked for alone.
            for record in records:
                self.alone(record, seed, out)
        else:
            self.answered(records, answer, out)

    def alone(self, record: Record, seed: int, out: Out[Any]) -> None:
        try:
            answer = asked([record], seed)
        except Exception as error:
            out.reject(record, "function_failed", contract.words(error))
        else:
            self.answered([record], answer, out)

    def answered(self, records: list[Record], answer: dict[str, list[Any]], out: Out[Any]) -> None:
        """Each record's result as a row, a reject, or nothing."""
        for record in records:
            try:
                made = contract.data(answer.get(contract.record_id(record), []))
                if made is not None:
                    out.emit(record, self.row(**self.cells(made)))
            except contract.Refused as refused:
                out.reject(record, refused.code, refused.message)

    def cells(self, made: dict[str, Any]) -> dict[str, Any]:
        """The fields of the config, each of its kind or null."""
        cells = {}
        for name, kind in self.fields.items():
            value = made.get(name)
            if kind == "float64" and type(value) is int:
                value = float(value)
            if value is not None and (type(value) is not TYPES[kind] or (kind == "int64" and not -(2**63) <= value < 2**63)):
                raise contract.Refused("bad_data", f"field `{name}` is {value!r}, and the job says {kind}")
            cells[name] = value
        return cells
