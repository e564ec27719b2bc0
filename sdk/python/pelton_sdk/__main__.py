"""`python -m pelton_sdk build [FOLDER]`: a component from a project, and `python -m pelton_sdk conformance FOLDER`: those of the suite.

The rule: `[tool.pelton]` of pyproject.toml says what to build: `world = "transformer"`, `module = "app"`. `pelton build` does the same.
Left to others: CPython and the component (componentize-py).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent
WORLDS = ["transformer", "aggregator", "stateful-transformer", "keyed-transformer", "enricher"]


class Mistake(Exception):
    """What the user can mend."""


def interface_of(given: str | None) -> Path:
    """The interface: beside the SDK in a project, two folders up in the repository."""
    places = [Path(given)] if given else [SDK.parent / "wit", SDK.parent.parent / "wit"]
    for place in places:
        if (place / "world.wit").is_file():
            return place
    raise Mistake("the interface (wit/world.wit) is not beside the SDK: say where it is with --wit")


def tool() -> str:
    beside = Path(sys.executable).with_name("componentize-py")
    found = str(beside) if beside.exists() else shutil.which("componentize-py")
    if found is None:
        raise Mistake("`componentize-py` is not installed: get it with `pip install componentize-py==0.25.1`")
    return found


def component(folder: Path, module: str, world: str, output: Path, wit: Path) -> None:
    if world not in WORLDS:
        raise Mistake(f"`{world}` is no world of a plugin: there are {', '.join(WORLDS)}")
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [tool(), "-q", "-d", str(wit), "-w", world, "componentize", "--stub-wasi", "-p", str(folder), "-p", str(SDK), module, "-o", str(output)]
    # A virtual environment would be taken into the component.
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Mistake(f"componentize-py could not build `{module}`:\n{done.stdout}{done.stderr}".rstrip())
    print(f"{output}: {world}, {output.stat().st_size} bytes")


def build(folder: Path, output: str | None, wit: Path) -> None:
    file = folder / "pyproject.toml"
    if not file.is_file():
        raise Mistake(f"there is no {file}: run this in the folder of a plugin, or name it")
    about = tomllib.loads(file.read_text())
    pelton = about.get("tool", {}).get("pelton", {})
    if "world" not in pelton:
        raise Mistake(f'{file} does not say what this plugin is: add `world = "transformer"` below `[tool.pelton]`')
    name = about.get("project", {}).get("name", folder.resolve().name)
    component(folder, pelton.get("module", "app"), pelton["world"], Path(output) if output else folder / f"{name}.wasm", wit)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pelton_sdk", description="Build plugins in Python.")
    parser.add_argument("--wit", help="the folder of the interface")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="a component from a project")
    building.add_argument("folder", nargs="?", default=".", type=Path)
    building.add_argument("--output", "-o", help="where it goes; without it FOLDER/NAME.wasm")
    suite = commands.add_parser("conformance", help="the five plugins of the conformance suite")
    suite.add_argument("target", type=Path)
    given = parser.parse_args()
    try:
        wit = interface_of(given.wit)
        if given.command == "build":
            build(given.folder, given.output, wit)
        else:
            for world in WORLDS:
                component(SDK / "conformance", world.replace("-", "_"), world, given.target / f"{world}.wasm", wit)
    except Mistake as mistake:
        print(f"pelton_sdk: {mistake}", file=sys.stderr)
        sys.exit(78)


if __name__ == "__main__":
    main()
