"""Runs a plugin over rows written as JSON, in plain Python, without WebAssembly.

The rule: every run is made several ways (one call, a call a record, a fresh instance a call; for aggregators also in two halves that are
combined), and they must agree, because the host may do any of these.
Left to others: JSON to columns (`batch.py`) and back (`results.py`), state and timers (`memory.py`), the calls (`calls.py`, `folding.py`).
"""

import json
from pathlib import Path
from typing import Any, Callable

from ..export import exports_of
from ..plugins import Plugin
from .calls import Calls
from .folding import Foldings

Rows = list[dict[str, Any]]
Answer = Callable[[dict[str, Any]], dict[str, Any]]


def run(plugin: type[Plugin], rows: Rows, config: Any = None, answer: Answer | None = None) -> Rows:
    """The results as JSON rows; rejects are rows `{"_reject": {"index", "code", "message"}}`.

    Rows are objects with the wanted fields. Beside them: `_partition_key`, `_event_time` and `_arrival_time` (microseconds), `_input` where a
    plugin has several, `_key` for the group or key where the plugin names no key fields. Of stateful and keyed plugins a row
    `{"_watermark": ms}` or `{"_clock": ms}` fires timers. `answer` gives an enricher's answers: `{"status": 200, "body": ...}`,
    `{"failed": "why"}` or `{"timed_out": True}`.
    """
    text = config if isinstance(config, str) else json.dumps(config or {})
    return run_exports(lambda: exports_of(plugin), plugin.world, rows, text, answer)


def run_exports(exports: Callable[[], dict[str, Any]], world: str, rows: Rows, config: str, answer: Answer | None = None) -> Rows:
    """The same for anything that has the functions of the interface. `exports` gives a fresh instance."""
    if world == "aggregator":
        return agreed(Foldings(exports, config, rows).ways())
    ways = {
        "one call": (len(rows) or 1, False),
        "a call for each record": (1, False),
        "a fresh instance for each record": (1, True),
        "calls of two records": (2, False),
    }
    return agreed({how: Calls(exports, world, config, cut, fresh, answer).run(rows) for how, (cut, fresh) in ways.items()})


def agreed(ways: dict[str, Rows]) -> Rows:
    (first, expected), *others = ways.items()
    for how, found in others:
        if found != expected:
            raise AssertionError(f"results depend on how records are cut into calls: {how} gives {found}, {first} gives {expected}")
    return expected


def describe(plugin: type[Plugin], config: Any = None) -> Any:
    """What a plugin says of itself under a config."""
    return exports_of(plugin)["Lifecycle"]().describe(json.dumps(config or {}))


def check(folder: str | Path, plugin: type[Plugin]) -> None:
    """Runs every case: `NAME/` with `config.json` (or none), `input.jsonl`, and `expected.jsonl` or `error.txt`; an enricher also has
    `answers.json`, from `GET /path` to `{"status": 200, "body": ...}`. All are run before the first difference is told."""
    folders = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    if not folders:
        raise AssertionError(f"{folder} holds no case: add a folder with input.jsonl and expected.jsonl")
    differences = [f"case {path.name}: {words}" for path in folders if (words := check_case(path, plugin))]
    if differences:
        raise AssertionError("\n".join(differences))


def check_case(folder: Path, plugin: type[Plugin]) -> str:
    def text(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8") if (folder / name).exists() else ""

    answers = json.loads(text("answers.json") or "{}")

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        at = f"{request['method']} {request['path']}"
        return answers.get(at, {"failed": f"answers.json has no {at}"})

    error = text("error.txt").strip()
    try:
        found = run(plugin, lines(text("input.jsonl"), folder / "input.jsonl"), text("config.json"), answer)
    except Exception as refused:
        words = str(getattr(refused, "value", refused))
        return "" if error and error in words else f"failed: {words}"
    if error:
        return f"was expected to fail with: {error}"
    expected = lines(text("expected.jsonl"), folder / "expected.jsonl")
    return "" if found == expected else f"expected {expected}, found {found}"


def lines(text: str, file: Path) -> Rows:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{file}:{number}: {error}") from None
    return rows
