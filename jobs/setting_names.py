"""Settings in words: their type, bounds and meaning, and what is wrong with a value."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from jobs.plain_yaml import load_yaml

_TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}
_WRONG_TYPE = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text; put it in quotes",
    "tuple": "a list, such as [1, 2]",
    "list": "a list, such as [1, 2]",
    "dict": "a mapping, such as {name: value}",
    "model": "a mapping, such as {name: value}",
    "path": "a path",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


class Setting(NamedTuple):
    """One line of `--help-settings`."""

    name: str
    kind: str
    default: str
    bounds: str
    meaning: str


def settings_of(prefix: str, model: type[BaseModel]) -> Iterator[Setting]:
    """Every field of `model` under its full name, nested ones in place of their parents."""
    defaults = model().model_dump(mode="json")
    for name, field in model.model_fields.items():
        deeper = nested_model(field.annotation)
        if deeper is not None:
            yield from settings_of(f"{prefix}.{name}", deeper)
            continue
        yield Setting(
            name=f"{prefix}.{name}",
            kind=_kind(field.annotation),
            default=as_yaml(defaults[name]),
            bounds=_bounds(field),
            meaning=field.description or "",
        )


def as_yaml(value: Any) -> str:
    """A JSON value as one line of YAML, text without quotes where it needs none."""
    match value:
        case str() if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", value) and load_yaml(value) == value:
            return value
        case float() if float(f"{value:g}") == value:
            return f"{value:g}"
        case list():
            return f"[{', '.join(map(as_yaml, value))}]"
        case dict():
            return f"{{{', '.join(f'{as_yaml(name)}: {as_yaml(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The settings class behind an annotation (`Gates` or `Gates | None`), or None for plain values."""
    for choice in (annotation, *get_args(annotation)) if _is_union(annotation) else (annotation,):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return choice
    return None


def problem_in_words(path: tuple[str, ...], model: type[BaseModel], error: ErrorDetails) -> str:
    """What pydantic found wrong, naming the setting, its value, what is allowed and what the setting is."""
    name, kind, context = ".".join(path), error["type"], error.get("ctx", {})
    field = _field(model, path[1:])
    meaning = f" It is: {field.description}." if field is not None and field.description else ""
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        wrong = f"must be {words} {context[bound]:g}"
    elif kind in ("literal_error", "enum"):
        wrong = f"must be one of {context['expected']}"
    elif kind == "int_from_float":
        wrong = "must be a whole number"
    elif kind == "missing":
        return f"{name} must be given.{meaning}"
    elif kind in ("value_error", "assertion_error"):
        wrong = f"is refused: {context.get('error', error['msg'])}"
    elif (base := kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_attributes")) in _WRONG_TYPE:
        wrong = f"must be {_WRONG_TYPE[base]}"
    else:
        wrong = f"is refused: {error['msg']}"
    return f"{name} = {_value(error['input'])} {wrong}.{meaning}"


def _field(model: type[BaseModel], path: tuple[str, ...]) -> FieldInfo | None:
    """The field at `path`, stopping at the first step into a list or union."""
    field = None
    for name in path:
        found = model.model_fields.get(name)
        if found is None:
            return field
        field = found
        deeper = nested_model(field.annotation)
        if deeper is None:
            return field
        model = deeper
    return field


def _kind(annotation: Any) -> str:
    arguments = get_args(annotation)
    if _is_union(annotation):
        return " or ".join(_kind(choice) for choice in arguments)
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (tuple, list):
        inner = " or ".join(dict.fromkeys(_kind(choice) for choice in arguments if choice is not Ellipsis))
        return f"list of {inner}"
    if origin is not None and get_args(annotation) and isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_kind(arguments[0])} to {_kind(arguments[1])}"
    if hasattr(annotation, "__metadata__"):
        return _kind(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(choice.value) for choice in annotation)
    return _TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(field: FieldInfo) -> str:
    parts = []
    for rule in field.metadata:
        match rule:
            case Ge(ge=low):
                parts.append(f"≥ {low:g}")
            case Gt(gt=low):
                parts.append(f"> {low:g}")
            case Le(le=high):
                parts.append(f"≤ {high:g}")
            case Lt(lt=high):
                parts.append(f"< {high:g}")
            case MinLen(min_length=count):
                parts.append(f"at least {count} long")
            case MaxLen(max_length=count):
                parts.append(f"at most {count} long")
    return ", ".join(parts)


def _value(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case Enum():
            return str(value.value)
        case str():
            return repr(value) if len(value) <= 60 else f"{value[:60]!r}…"
        case tuple() | list():
            return f"[{', '.join(_value(item) for item in value)}]"
    return f"{value!s:.60}"


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)
