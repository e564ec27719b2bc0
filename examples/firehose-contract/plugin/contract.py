"""What Firehose and a transformation of Lambda owe each other: the event that the function is given, and the answer that it owes.

The rule: every record of the event has exactly one result. What is wrong with an answer is said of the record that it is wrong for.
Left to others: rows (`app.py`), the function itself (`lambda_function.py`).
"""

import base64
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

ARN = "arn:aws:firehose:us-east-1:000000000000:deliverystream/pelton"
RESULTS = ("Ok", "Dropped", "ProcessingFailed")


@dataclass
class Refused(Exception):
    """Why a record has no result that can be used."""

    code: str
    message: str


def record_id(record: Any) -> str:
    """What names a record in the event and in the answer."""
    at = record.position
    return f"{at.shard}:{at.sequence}:{at.sub_sequence}"


def event(records: list[Any], seed: int) -> dict[str, Any]:
    """The event for some records, as Firehose makes it where a Kinesis stream is its source."""
    return {
        "invocationId": f"{seed:016x}",
        "deliveryStreamArn": ARN,
        "sourceKinesisStreamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/pelton",
        "region": "us-east-1",
        "records": [one(record) for record in records],
    }


def one(record: Any) -> dict[str, Any]:
    arrival_ms = record.arrival // 1000
    return {
        "recordId": record_id(record),
        "approximateArrivalTimestamp": arrival_ms,
        "data": base64.b64encode(record.payload).decode(),
        "kinesisRecordMetadata": {
            "shardId": record.position.shard,
            "sequenceNumber": record.position.sequence,
            "subsequenceNumber": record.position.sub_sequence,
            "partitionKey": record.key,
            "approximateArrivalTimestamp": arrival_ms,
        },
    }


def context(seed: int) -> Any:
    """The little of a Lambda context that has a meaning here."""
    return SimpleNamespace(aws_request_id=f"{seed:016x}", function_name="pelton", get_remaining_time_in_millis=lambda: 500)


def results(answer: Any) -> dict[str, list[Any]]:
    """The results of an answer by record id. An answer of another form has no result for anybody."""
    found: dict[str, list[Any]] = {}
    records = answer.get("records") if isinstance(answer, dict) else None
    for result in records if isinstance(records, list) else []:
        if isinstance(result, dict):
            found.setdefault(str(result.get("recordId")), []).append(result)
    return found


def data(of_record: list[Any]) -> dict[str, Any] | None:
    """The new data of a record: a JSON object; None where the record is dropped. `Refused` where it is neither."""
    if len(of_record) != 1:
        raise Refused("no_result", f"the function gave {len(of_record)} results for it; it owes one")
    result = of_record[0].get("result")
    if result == "Dropped":
        return None
    if result == "ProcessingFailed":
        raise Refused("processing_failed", "the function says ProcessingFailed")
    if result != "Ok":
        raise Refused("unknown_result", f"the result is {result!r}; there is {', '.join(RESULTS)}")
    try:
        made = json.loads(base64.b64decode(of_record[0]["data"], validate=True))
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("bad_data", f"its data is no JSON in base64: {error}") from None
    if not isinstance(made, dict):
        raise Refused("bad_data", f"its data is no JSON object: {json.dumps(made)[:80]}")
    return made


def words(error: BaseException) -> str:
    """An exception and where it was thrown. There are no files here, so lines of source cannot be shown."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f", at {at.tb_frame.f_code.co_filename.rsplit('/')[-1]}:{at.tb_lineno}" if at else ""
    return f"{type(error).__name__}: {error}{place}"
