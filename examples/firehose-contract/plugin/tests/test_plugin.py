"""The folders of `cases/`, and the contract with functions that break it."""

import base64
import json
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest.mock import patch

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER), str(FOLDER / "sdk/python")]

import app  # noqa: E402
from pelton_sdk.testing import check, run  # noqa: E402

CONFIG = {"fields": {"n": "int64", "ratio": "float64"}}


def ran(handler: Any, *payloads: str) -> list[Any]:
    """What becomes of some records under this function: rows, and rejects as `code: words`."""
    with patch.object(app, "lambda_handler", handler):
        found = run(app.FirehoseContract, [{"payload": payload} for payload in payloads], CONFIG)
    return [f"{row['_reject']['code']}: {row['_reject']['message']}" if "_reject" in row else row for row in found]


def answering(**changed: Any) -> Any:
    """A function that answers each record so."""
    data = base64.b64encode(b'{"n": 1}').decode()
    return lambda event, context: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": data, **changed} for r in event["records"]]}


def giving(made: Any) -> Any:
    return answering(data=base64.b64encode(json.dumps(made).encode()).decode())


class Contract(unittest.TestCase):
    def test_cases(self) -> None:
        check(FOLDER / "cases", app.FirehoseContract)

    def test_results_are_found_by_their_ids_whatever_their_order(self) -> None:
        def backwards(event: Any, context: Any) -> Any:
            return {"records": [{"recordId": r["recordId"], "result": "Ok", "data": r["data"]} for r in reversed(event["records"])]}

        self.assertEqual(ran(backwards, '{"n": 1}', '{"n": 2, "ratio": 3}'), [{"n": 1, "ratio": None}, {"n": 2, "ratio": 3.0}])

    def test_an_answer_that_keeps_the_contract_no_longer_is_said_of_its_record(self) -> None:
        owed = "no_result: the function gave 0 results for it; it owes one"
        for handler, words in [
            (lambda event, context: None, owed),
            (lambda event, context: {"records": []}, owed),
            (lambda event, context: {"records": [7]}, owed),
            (answering(recordId="another"), owed),
            (answering(result="OK"), "unknown_result: the result is 'OK'; there is Ok, Dropped, ProcessingFailed"),
            (answering(data="{}"), "bad_data: its data is no JSON in base64"),
            (answering(data=None), "bad_data: its data is no JSON in base64"),
            (giving([1]), "bad_data: its data is no JSON object: [1]"),
            (giving({"n": "1"}), "bad_data: field `n` is '1', and the job says int64"),
            (giving({"n": True}), "bad_data: field `n` is True, and the job says int64"),
            (giving({"n": 2**63}), "bad_data: field `n` is 9223372036854775808, and the job says int64"),
        ]:
            with self.subTest(words):
                self.assertEqual([found[: len(words)] for found in ran(handler, "x")], [words])

    def test_a_record_that_was_answered_twice_is_refused(self) -> None:
        def twice(event: Any, context: Any) -> Any:
            return {"records": 2 * answering()(event, context)["records"]}

        self.assertEqual(ran(twice, "x"), ["no_result: the function gave 2 results for it; it owes one"])

    def test_a_function_that_throws_loses_the_record_that_made_it_throw(self) -> None:
        def picky(event: Any, context: Any) -> Any:
            for record in event["records"]:
                if base64.b64decode(record["data"]) == b"bad":
                    raise KeyError("n")
            return answering()(event, context)

        good = {"n": 1, "ratio": None}
        rejected = "function_failed: KeyError: 'n', at test_plugin.py:"
        self.assertEqual([str(found)[: len(rejected)] for found in ran(picky, "a", "bad", "b")], [str(good), rejected, str(good)])
