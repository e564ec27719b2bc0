"""A plugin's class, taken apart: what its methods' annotations say it reads, emits, keeps and is configured by.

The rule: the annotations of `process`, `fold`, `finish`, ... are the declaration; `parts(config)` may replace any of them under a config.
Left to others: running it (`worlds.py`).
"""

import typing
from dataclasses import dataclass
from typing import Any

from . import config as configs
from .accumulator import Accumulator
from .fields import Input, Output, Plan, plan
from .host import t
from .kinds import hints
from .out import Out
from .state import Key, KeyPlan, key_plan


@dataclass(frozen=True)
class Definition:
    """Parts of a plugin under one config."""

    name: str
    inputs: tuple[Plan, ...]
    outputs: tuple[Plan, ...]
    key: KeyPlan
    accumulator: type | None
    config: type | None
    connectors: dict[str, str]


def found(annotation: Any, base: type) -> list[type]:
    """The classes of a kind in an annotation: itself, the members of a union, or what `Out[...]` holds."""
    if typing.get_origin(annotation) is Out:
        return found(typing.get_args(annotation)[0], base)
    arguments = typing.get_args(annotation)
    parts = arguments if arguments and not isinstance(annotation, type) else (annotation,)
    return [part for part in parts if isinstance(part, type) and issubclass(part, base) and part is not base]


METHODS = ("process", "process_all", "fold", "combine", "finish", "fire", "prepare", "complete")


def declared(cls: type) -> dict[str, Any]:
    """The parts that the annotations name."""
    parts: dict[str, Any] = {"input": [], "output": [], "key": None, "accumulator": None}
    for name in METHODS:
        method = getattr(cls, name, None)
        if method is None or getattr(method, "inherited", False):
            continue
        for annotation in hints(method).values():
            parts["input"] += [one for one in found(annotation, Input) if one not in parts["input"]]
            parts["input"] += [one for part in typing.get_args(annotation) for one in found(part, Input) if one not in parts["input"]]
            parts["output"] += [one for one in found(annotation, Output) if one not in parts["output"]]
            parts["key"] = next(iter(found(annotation, Key)), parts["key"])
            parts["accumulator"] = next(iter(found(annotation, Accumulator)), parts["accumulator"])
    return parts


def config_of(cls: type) -> type | None:
    """The config that `__init__` takes."""
    if cls.__init__ is object.__init__:
        return None
    return next((one for annotation in hints(cls.__init__).values() for one in found(annotation, configs.Config)), None)


def define(cls: type, config: Any) -> Definition:
    """The plugin under a config."""
    parts = declared(cls) | cls.parts(config)
    inputs, outputs = as_list(parts["input"]), as_list(parts["output"])
    if not inputs:
        raise TypeError(f"plugin `{cls.name}` reads nothing: annotate its record, as in `def process(self, row: Click, out: Out[Sale])`")
    if cls.world == "enricher" and parts["key"] is not None:
        raise TypeError(f"enricher `{cls.name}` takes a key: it keeps no state, take a `Stateful` behind it")
    return Definition(
        cls.name,
        tuple(plan(one) for one in inputs),
        tuple(plan(one) for one in outputs),
        key_plan(parts["key"]),
        parts["accumulator"],
        config_of(cls),
        parts.get("connectors", cls.connectors),
    )


def as_list(given: Any) -> list[type]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def identity(names: list[str]) -> Any:
    flags = t.Identity(0)
    for name in names:
        flags |= t.Identity[name.upper()]
    return flags


def fields(columns: Any) -> list[Any]:
    return [t.Field(column.path, t.Kind[column.kind.wire.upper()], column.optional, column.doc) for column in columns]


def manifest(cls: type, definition: Definition, tables: list[Any]) -> Any:
    """What the plugin says of itself."""
    import json

    single = {1: ["in"]}.get(len(definition.inputs))
    inputs = [t.Input((single or [one.cls._name])[0], identity([mark.name for _, mark in one.beside]), fields(one.columns), doc_of(one.cls)) for one in definition.inputs]
    names = ["out"] if len(definition.outputs) == 1 else [one.cls._name for one in definition.outputs]
    outputs = [t.Output(name, fields(one.columns), sets(cls, name, one), doc_of(one.cls)) for name, one in zip(names, definition.outputs)]
    schema = "" if definition.config is None else json.dumps(configs.object_schema(definition.config))
    connectors = [t.Connector(name, doc) for name, doc in definition.connectors.items()]
    doc = cls.doc or doc_of(cls)
    return t.Manifest(cls.name, cls.version, doc, schema, inputs, outputs, fields(definition.key.columns), tables, connectors, [])


def sets(cls: type, output: str, plan: Plan) -> Any:
    for name, mark in plan.beside:
        if not mark.settable:
            raise TypeError(f"output `{output}` of `{cls.name}`: `{name}` cannot be set, only the host knows the {mark.name}")
    return identity([mark.name for _, mark in plan.beside])


def doc_of(cls: type) -> str:
    """A class's own words; those of a dataclass that has none are its signature."""
    words = cls.__dict__.get("__doc__") or ""
    return "" if words.startswith(f"{cls.__name__}(") else " ".join(words.split())
