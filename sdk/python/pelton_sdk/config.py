"""The step's `config:` as a dataclass, its JSON Schema, and errors that an author of a job can act on.

The rule: what the host would refuse by the schema is refused here in the same way, so that tests and jobs agree.
Left to others: what the plugin makes of it.
"""

import dataclasses
import json
import types
import typing
from typing import Any, dataclass_transform

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern")


def setting(default: Any = dataclasses.MISSING, *, doc: str = "", **bounds: Any) -> Any:
    """A member of a config: `setting(0.0, doc="...", minimum=0)`. Bounds are those of JSON Schema."""
    unknown = set(bounds) - set(BOUNDS)
    if unknown:
        raise TypeError(f"`{unknown.pop()}` is no bound of a setting: there are {', '.join(BOUNDS)}")
    metadata = {"doc": doc, "bounds": bounds}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(field_specifiers=(setting,), kw_only_default=True)
class Config:
    """Members with annotations: bool, int, float, str, list, dict, Literal, another Config, `... | None`."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        dataclasses.dataclass(cls, kw_only=True)


def schema_of(annotation: Any) -> dict[str, Any]:
    plain = {bool: "boolean", int: "integer", float: "number", str: "string"}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in plain:
        return {"type": plain[annotation]}
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return object_schema(annotation)
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if part is type(None) else schema_of(part) for part in arguments]}
    if annotation is Any:
        return {}
    raise TypeError(f"{annotation} is no type of a config")


def object_schema(cls: type) -> dict[str, Any]:
    properties, required = {}, []
    for field, annotation in members(cls):
        schema = {**schema_of(annotation), **field.metadata.get("bounds", {})}
        if field.metadata.get("doc"):
            schema["description"] = field.metadata["doc"]
        if field.default is not dataclasses.MISSING:
            schema["default"] = field.default
        elif field.default_factory is dataclasses.MISSING:
            required.append(field.name)
        properties[field.name] = schema
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def members(cls: Any) -> list[tuple[Any, Any]]:
    hints = typing.get_type_hints(cls)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]


def parse(text: str, cls: type | None) -> Any:
    """Reads a config; no text, `null` and `{}` are the same."""
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ValueError(f"config is not JSON: {error}") from None
    if cls is None:
        if value:
            raise ValueError(f"config: this plugin takes none, and `{next(iter(value))}` was given")
        return None
    return read({} if value is None else value, cls, "config", {})


def read(value: Any, annotation: Any, path: str, bounds: dict[str, Any]) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return read_object(value, annotation, path)
    if origin in (typing.Union, types.UnionType):
        return read_union(value, arguments, path, bounds)
    if origin is list:
        expect(isinstance(value, list), value, path, "no list")
        return [read(item, arguments[0], f"{path}[{index}]", {}) for index, item in enumerate(value)]
    if origin is dict:
        expect(isinstance(value, dict), value, path, "no object")
        return {name: read(item, arguments[1], f"{path}.{name}", {}) for name, item in value.items()}
    if origin is typing.Literal:
        expect(value in arguments, value, path, f"none of {', '.join(map(str, arguments))}")
        return value
    if annotation is Any:
        return value
    return read_plain(value, annotation, path, bounds)


def read_plain(value: Any, annotation: Any, path: str, bounds: dict[str, Any]) -> Any:
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    fits = type(value) is annotation
    if annotation is float:
        fits = type(value) in (int, float)
    if annotation is int and type(value) is float and value.is_integer():
        fits, value = True, int(value)
    expect(fits, value, path, f"no {names[annotation]}")
    for bound, limit in bounds.items():
        check_bound(value, bound, limit, path)
    return float(value) if annotation is float else value


def check_bound(value: Any, bound: str, limit: Any, path: str) -> None:
    import re

    words = {
        "minimum": lambda: value >= limit or f"less than {limit}",
        "maximum": lambda: value <= limit or f"more than {limit}",
        "exclusiveMinimum": lambda: value > limit or f"not more than {limit}",
        "exclusiveMaximum": lambda: value < limit or f"not less than {limit}",
        "minLength": lambda: len(value) >= limit or f"shorter than {limit}",
        "maxLength": lambda: len(value) <= limit or f"longer than {limit}",
        "pattern": lambda: bool(re.search(limit, value)) or f"not what {limit} matches",
    }[bound]()
    expect(words is True, value, path, str(words))


def read_union(value: Any, arguments: tuple[Any, ...], path: str, bounds: dict[str, Any]) -> Any:
    if value is None and type(None) in arguments:
        return None
    words = ""
    for part in arguments:
        if part is type(None):
            continue
        try:
            return read(value, part, path, bounds)
        except ValueError as error:
            words = str(error)
    raise ValueError(words)


def read_object(value: Any, cls: type, path: str) -> Any:
    expect(isinstance(value, dict), value, path, "no object")
    known = members(cls)
    names = [field.name for field, _ in known]
    for name in value:
        if name not in names:
            raise ValueError(f"{path}: there is no `{name}`; there is: {', '.join(names)}")
    given = {}
    for field, annotation in known:
        if field.name in value:
            given[field.name] = read(value[field.name], annotation, f"{path}.{field.name}", field.metadata.get("bounds", {}))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{path}: `{field.name}` is missing")
    return cls(**given)


def expect(holds: bool, value: Any, path: str, words: str) -> None:
    if not holds:
        raise ValueError(f"{path}: {json.dumps(value)} is {words}")
