"""`@plugin`: a class becomes the exports of a component.

The rule: an exception that is neither Reject nor Retry nor Fatal ends the instance, because nobody knows what it left behind; the log has
its traceback before that. The exports are put into the module of the class, where componentize-py looks for them.
Left to others: the calls themselves (`worlds.py`).
"""

import sys
import traceback
from typing import Any, Callable, TypeVar

from . import config as configs
from . import worlds
from .definition import Definition, define, manifest
from .failures import Fatal, Reject, Retry
from .host import INSIDE, Err, host, interface, log, replace_surroundings, t
from .out import Out
from .plugins import Plugin
from .state import slices
from .write import chunk_column
from .accumulator import pack

C = TypeVar("C", bound=type[Plugin])


class Exports:
    """The functions of the interface, for one plugin."""

    def __init__(self, cls: type[Plugin]) -> None:
        self.cls = cls
        self.instance: worlds.Instance | None = None

    def defined(self, text: str) -> tuple[Definition, Any]:
        from .definition import config_of

        config = configs.parse(text, config_of(self.cls))
        return define(self.cls, config), config

    def describe(self, text: str) -> Any:
        def call() -> Any:
            definition, _ = self.defined(text)
            return manifest(self.cls, definition, tables(self.cls, definition))

        return refusing(call)

    def init(self, context: Any) -> None:
        def call() -> None:
            if INSIDE:
                replace_surroundings()
            definition, config = self.defined(context.config)
            made = self.cls() if config is None else self.cls(config)
            self.instance = worlds.Instance(made, definition, Out(list(definition.outputs)))

        refusing(call)

    def run(self, now_ms: int | None, call: Callable[..., Any], *arguments: Any) -> Any:
        """A call that needs an instance."""
        if self.instance is None:
            raise Err(t.Failure_Fatal("the plugin was called before `init`"))
        if now_ms is not None:
            host.now_ms = now_ms
        try:
            return call(self.instance, *arguments)
        except Retry as failure:
            raise Err(t.Failure_Retry(str(failure))) from None
        except Fatal as failure:
            raise Err(t.Failure_Fatal(str(failure))) from None
        except Exception as error:
            if INSIDE:
                told(error)
            raise

    def migrate(self, table: int, version: int, values: Any) -> Any:
        def call() -> Any:
            if self.instance is None:
                raise ValueError("`migrate` was called before `init`")
            one = migration(self.instance.definition, table)
            errors: list[Any] = []
            migrated = [migrated_or_refused(one, version, index, cell, errors) for index, cell in enumerate(slices(values))]
            cells = chunk_column([cell or b"" for cell in migrated])
            return interface("migrate_state").Migrated(t.OptionalBytes(cells, bytes(cell is not None for cell in migrated)), errors)

        return refusing(call)


def migrated_or_refused(one: Callable[[int, bytes], bytes], version: int, index: int, cell: bytes, errors: list[Any]) -> bytes | None:
    """Whoever raises refuses one value, which stays as it was."""
    try:
        return one(version, cell)
    except Exception as error:
        code = error.code if isinstance(error, Reject) else "not_migrated"
        errors.append(t.RecordError(index, code, error.message if isinstance(error, Reject) else str(error) or type(error).__name__))
        return None


def migration(definition: Definition, table: int) -> Callable[[int, bytes], bytes]:
    cls = definition.accumulator or definition.key.state
    if cls is not None:
        return lambda version, data: pack(cls.migrate(version, data))
    if table >= len(definition.key.tables):
        raise ValueError(f"there is no table {table}, there are {len(definition.key.tables)}")
    return definition.key.tables[table].codec.migrate


def told(error: BaseException) -> None:
    """The traceback goes to the log once: Python would print it again. Without lines of source: there are no files in a component."""
    frames = [f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in traceback.walk_tb(error.__traceback__)]
    log.error(f"{type(error).__name__}: {error}", traceback=frames[::-1])
    sys.stderr.muted = True


def refusing(call: Callable[[], Any]) -> Any:
    """describe, init and migrate fail with words."""
    try:
        return call()
    except Exception as error:
        raise Err(str(error) or type(error).__name__) from None


def tables(cls: type[Plugin], definition: Definition) -> list[Any]:
    if cls.world == "aggregator":
        return [own_table("accumulator", definition.accumulator)]
    if cls.world == "keyed-transformer":
        return [own_table("state", definition.key.state)]
    return [
        t.Table(found.name, found.options.prefetch, "", found.codec.version, list(found.codec.migrates_from), found.options.ttl_ms)
        for found in definition.key.tables
    ]


def own_table(name: str, cls: Any) -> Any:
    if cls is None:
        raise TypeError(f"the plugin names no {name}: annotate it, as in `total: Total` or `state: State[Count]`")
    return t.Table(name, True, "", cls.VERSION, list(cls.MIGRATES_FROM), None)


class Lifecycle:
    exports: Exports

    def describe(self, config: str) -> Any:
        return self.exports.describe(config)

    def init(self, ctx: Any) -> None:
        self.exports.init(ctx)


class Transform:
    exports: Exports

    def process(self, input: Any) -> Any:
        stateful = self.exports.cls.world == "stateful-transformer"
        return self.exports.run(input.now_ms, worlds.stateful if stateful else worlds.transform, input)


class OnTimers:
    exports: Exports

    def fire(self, due: Any) -> Any:
        return self.exports.run(due.now_ms, worlds.fire, due)


class Aggregate:
    exports: Exports

    def fold(self, input: Any) -> Any:
        return self.exports.run(input.records.now_ms, worlds.fold, input)

    def combine(self, parts: Any, group_offsets: list[int]) -> Any:
        return self.exports.run(None, worlds.combine, parts, group_offsets)

    def finish(self, closing: Any) -> Any:
        return self.exports.run(closing.now_ms, worlds.finish, closing)


class KeyedExport:
    exports: Exports

    def process(self, input: Any, states: Any) -> Any:
        return self.exports.run(input.now_ms, worlds.keyed_process, input, states)

    def fire(self, due: Any, states: Any) -> Any:
        return self.exports.run(due.now_ms, worlds.keyed_fire, due, states)


class Enrich:
    exports: Exports

    def prepare(self, input: Any) -> Any:
        return self.exports.run(input.now_ms, worlds.prepare, input)

    def complete(self, input: Any, responses: list[Any]) -> Any:
        return self.exports.run(input.now_ms, worlds.complete, input, responses)


class MigrateState:
    exports: Exports

    def migrate(self, table: int, from_version: int, keys: Any, key: Any, sub_keys: Any, values: Any) -> Any:
        return self.exports.migrate(table, from_version, values)


EXPORTS: dict[str, dict[str, type]] = {
    "transformer": {"Transform": Transform},
    "stateful-transformer": {"Transform": Transform, "OnTimers": OnTimers, "MigrateState": MigrateState},
    "keyed-transformer": {"Keyed": KeyedExport, "MigrateState": MigrateState},
    "aggregator": {"Aggregate": Aggregate, "MigrateState": MigrateState},
    "enricher": {"Enrich": Enrich},
}


def exports_of(cls: type[Plugin]) -> dict[str, Any]:
    """The classes that a component of this plugin exports, by name."""
    exports = Exports(cls)
    made = {"Lifecycle": Lifecycle, **EXPORTS[cls.world]}
    return {name: type(name, (base,), {"exports": exports}) for name, base in made.items()}


def plugin(cls: C) -> C:
    """Makes a class the plugin of its module."""
    if not isinstance(getattr(cls, "name", None), str):
        raise TypeError(f'`{cls.__name__}` has no `name`: give it one, such as name = "sales"')
    # Mistakes in annotations are found here, where there is a traceback, not in the host.
    if cls.parts.__func__ is Plugin.parts.__func__:
        definition = define(cls, None)
        manifest(cls, definition, tables(cls, definition))
    module = sys.modules[cls.__module__]
    for name, export in exports_of(cls).items():
        setattr(module, name, export)
    return cls
