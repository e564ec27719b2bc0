"""The conformance plugins under plain Python.

The rule: each gives what `expected.py` says. Left to others: the components (`components.py`).
"""

import importlib
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "conformance")]

from expected import CASES  # noqa: E402
from pelton_sdk.testing import run  # noqa: E402


class Conformance(unittest.TestCase):
    def test_every_case(self) -> None:
        for world, cases in CASES.items():
            plugin = importlib.import_module(world.replace("-", "_")).Conformance
            for case in cases:
                with self.subTest(world=world, case=case.name):
                    self.assertEqual(case.check(lambda rows, config, answer: run(plugin, rows, config, answer)), "")

    def test_values_of_version_1_are_migrated(self) -> None:
        from pelton_sdk import shim
        from pelton_sdk.export import exports_of
        from pelton_sdk.testing.batch import chunks

        plugin = importlib.import_module("stateful_transformer").Conformance
        exports = exports_of(plugin)
        lifecycle = exports["Lifecycle"]()
        lifecycle.init(shim.Context('{"version": 2}', "j", "s", 1, []))
        keys = shim.KeySet(chunks([b"k"]), [shim.Column(shim.Values_Text(chunks([b"k"])), b"")])
        old, none = chunks([b"old", b"", b"bad"]), chunks([b"", b"", b""])
        migrated = exports["MigrateState"]().migrate(0, 1, keys, [0, 0, 0], none, old)
        self.assertEqual((migrated.values.cells.data, migrated.values.present), (b"\2old\2", b"\1\1\0"))
        self.assertEqual(migrated.errors, [shim.RecordError(2, "not_migrated", "bad is refused")])
        table = lifecycle.describe('{"version": 2}').tables[0]
        self.assertEqual((table.name, table.prefetch, table.schema_version, table.migrates_from), ("values", True, 2, [1]))


if __name__ == "__main__":
    unittest.main()
