"""Runs components of the conformance suite, of any language, in wasmtime: all five worlds, also those that a host does not run yet.

    python tests/components.py FOLDER

The rule: a component must give what `expected.py` says, cut in every way that `pelton_sdk.testing` cuts. Needs `wasmtime` from PyPI.
Left to others: what is expected (`expected.py`), limits and capabilities (the host, `pelton test`).
"""

import sys
import time
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pelton_sdk import shim as t  # noqa: E402
from pelton_sdk.testing import run_exports  # noqa: E402
from wasmtime import Config, Engine, Store  # noqa: E402
from wasmtime.component import Component, Linker, Record, Variant  # noqa: E402

INTERFACE = "pelton:plugin/{}@0.1.0"


def lower(value: Any) -> Any:
    """A dataclass of the interface as wasmtime wants it."""
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-")
    kind = type(value).__name__
    if kind.startswith("Values_"):
        return Variant(kind.removeprefix("Values_").lower(), lower(value.value))
    if kind.startswith("Outcome_"):
        # wasmtime wants no name where the types of the cases differ.
        return lower(getattr(value, "value", None))
    if hasattr(value, "__dataclass_fields__"):
        record = Record()
        for name, member in vars(value).items():
            setattr(record, name.replace("_", "-"), lower(member))
        return record
    if isinstance(value, list):
        return [lower(one) for one in value]
    return value


CLASSES = {
    ("cells", "present"): t.OptionalBytes,
    ("data", "offsets"): t.BytesColumn,
    ("unscaled", "scale"): t.DecimalColumn,
    ("sub-keys", "values", "more"): t.Entries,
}


def lift(value: Any) -> Any:
    """What wasmtime gives as plain objects with the names of Python."""
    if isinstance(value, Variant):
        if value.tag in ("retry", "fatal"):
            return getattr(t, f"Failure_{value.tag.capitalize()}")(value.payload)
        return getattr(t, f"Values_{value.tag.capitalize()}")(lift(value.payload))
    if isinstance(value, Record):
        members = {name: lift(member) for name, member in vars(value).items()}
        if tuple(members) in CLASSES:
            return CLASSES[tuple(members)](*members.values())
        if "kind" in members:
            members["kind"] = t.Kind[members["kind"].upper()]
        if "domain" in members:
            members["domain"] = [t.TimeDomain[one.upper().replace("-", "_")] for one in members["domain"]]
        return SimpleNamespace(**{name.replace("-", "_"): member for name, member in members.items()})
    if isinstance(value, (set, frozenset)):
        return [t.Identity[name.upper().replace("-", "_")] for name in value]
    if isinstance(value, list):
        return [lift(one) for one in value]
    return value


def failing(result: Any) -> Any:
    """The error case of a result, raised."""
    if isinstance(result, Variant) and result.tag == "err":
        raise t.Err(lift(result.payload))
    if isinstance(result, Variant) and result.tag == "ok":
        result = result.payload
    if isinstance(result, str):
        raise t.Err(result)
    found = lift(result)
    if isinstance(found, (t.Failure_Retry, t.Failure_Fatal)):
        raise t.Err(found)
    return found


class Plugin:
    """A component, compiled once."""

    def __init__(self, file: Path) -> None:
        self.engine = Engine(Config())
        started = time.monotonic()
        self.component = Component.from_file(self.engine, str(file))
        self.compiled_s = time.monotonic() - started
        self.lines: list[str] = []
        self.counters: dict[str, int] = {}
        self.state: Any = None

    def instance(self) -> "Instance":
        return Instance(self)

    def linker(self) -> Linker:
        linker = Linker(self.engine)
        with linker.root() as root:
            with root.add_instance(INTERFACE.format("types")):
                pass
            with root.add_instance(INTERFACE.format("log")) as log:
                log.add_func("enabled", lambda _: "info")
                log.add_func("write", lambda _, level, message, fields: self.lines.append(f"{level}: {message} {fields}"))
            with root.add_instance(INTERFACE.format("metrics")) as metrics:
                metrics.add_func("counter-add", lambda _, name, delta: self.count(name, delta))
                metrics.add_func("gauge-set", lambda _, name, value: None)
                metrics.add_func("histogram-record", lambda _, name, values: None)
            with root.add_instance(INTERFACE.format("state")) as state:
                state.add_func("get", lambda _, table, key, sub: self.state.get(table, key, sub))
                state.add_func("put", lambda _, table, key, sub, value: self.state.put(table, key, sub, value))
                state.add_func("delete", lambda _, table, key, sub: self.state.delete(table, key, sub))
                state.add_func("get-many", lambda _, table, keys: lower(self.state.get_many(table, keys)))
                state.add_func("put-many", lambda _, table, keys, values: self.state.put_many(table, keys, lift(values)))
                state.add_func("scan", lambda _, table, key, start, end, limit: lower(self.state.scan(table, key, start, end, limit)))
        return linker

    def count(self, name: str, delta: int) -> None:
        self.counters[name] = self.counters.get(name, 0) + delta


class Instance:
    """One instance, with an object for each exported interface."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.store = Store(plugin.engine)
        self.instance = plugin.linker().instantiate(self.store, plugin.component)

    def export(self, interface: str) -> Any:
        index = self.instance.get_export_index(self.store, INTERFACE.format(interface))
        return None if index is None else Interface(self, index)

    def call(self, interface: Any, name: str, *arguments: Any) -> Any:
        function = self.instance.get_func(self.store, self.instance.get_export_index(self.store, name, interface))
        result = function(self.store, *map(lower, arguments))
        return result


class Interface:
    """An exported interface: its functions as methods."""

    def __init__(self, instance: Instance, index: Any) -> None:
        self.instance, self.index = instance, index

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.called(name, *arguments)

    def called(self, name: str, *arguments: Any) -> Any:
        result = self.instance.call(self.index, name, *arguments)
        return None if name == "init" and result is None else failing(result)

    def connect(self, state: Any) -> None:
        self.instance.plugin.state = state


INTERFACES = {
    "Lifecycle": "lifecycle",
    "Transform": "transform",
    "OnTimers": "on-timers",
    "Aggregate": "aggregate",
    "Keyed": "keyed",
    "Enrich": "enrich",
    "MigrateState": "migrate-state",
}
WORLDS = {
    "transformer": ["Transform"],
    "aggregator": ["Aggregate", "MigrateState"],
    "stateful-transformer": ["Transform", "OnTimers", "MigrateState"],
    "keyed-transformer": ["Keyed", "MigrateState"],
    "enricher": ["Enrich"],
}


def exports(plugin: Plugin, world: str) -> dict[str, Any]:
    """A fresh instance's interfaces, in place of the classes that a Python plugin has."""
    instance = plugin.instance()
    found = {name: instance.export(INTERFACES[name]) for name in ["Lifecycle", *WORLDS[world]]}
    missing = [INTERFACES[name] for name, interface in found.items() if interface is None]
    if missing:
        raise AssertionError(f"a {world} exports {', '.join(missing)}, this one does not")
    return {name: (lambda interface=interface: interface) for name, interface in found.items()}


def main() -> int:
    from expected import CASES

    failed = 0
    for world in WORLDS:
        file = Path(sys.argv[1]) / f"{world}.wasm"
        if not file.exists():
            print(f"skip  {world}: there is no {file}")
            continue
        plugin = Plugin(file)
        print(f"      {world}: {file.stat().st_size} bytes, compiled in {plugin.compiled_s:.1f} s")
        for case in CASES[world]:
            words = case.check(lambda rows, config, answer: run_exports(lambda: exports(plugin, world), world, rows, config, answer), plugin)
            print(f"{'FAIL' if words else 'ok':5} {world}: {case.name}{f': {words}' if words else ''}")
            failed += bool(words)
    return failed


if __name__ == "__main__":
    sys.exit(main())
