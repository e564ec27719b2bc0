"""The folders of `cases/`: each is run in one call, record by record, and with a fresh instance for each record."""

import sys
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER), str(FOLDER / "sdk/python")]

from app import Plugin  # noqa: E402
from pelton_sdk.testing import check  # noqa: E402


class Cases(unittest.TestCase):
    def test_cases(self) -> None:
        check(FOLDER / "cases", Plugin)
