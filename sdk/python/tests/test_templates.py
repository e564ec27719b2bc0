"""The templates are projects that pass their own cases.

The rule: each is filled in, and run as its author would. Left to others: building components.
"""

import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent


class Templates(unittest.TestCase):
    def test_each_passes_its_cases(self) -> None:
        templates = SDK / "template"
        for template in sorted(kind for kind in templates.iterdir() if kind.name != "common"):
            with self.subTest(template.name), tempfile.TemporaryDirectory() as scratch:
                project = Path(scratch) / "tried"
                shutil.copytree(templates / "common", project)
                shutil.copytree(template, project, dirs_exist_ok=True)
                for file in project.rglob("*"):
                    if file.is_file():
                        file.write_text(file.read_text().replace("{{name}}", "tried"))
                shutil.copytree(SDK / "pelton_sdk", project / "sdk/python/pelton_sdk")
                done = subprocess.run([sys.executable, "-m", "unittest"], cwd=project, capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("Ran 1 test", done.stderr)
                world = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["pelton"]["world"]
                self.assertTrue(world.startswith(template.name))


if __name__ == "__main__":
    unittest.main()
