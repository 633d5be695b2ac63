"""YAML with few surprises: plain values only, every key once, `no` is text.

Scalars follow the core schema of YAML 1.2 (section 10.3.2): only `true` and `false` are booleans and
`1e-3` is a number, where PyYAML's default, YAML 1.1, reads `no` as false, `1:30` as 90 and `1e-3` as text.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

MAX_DEPTH = 20
"""Levels of nesting; no setting needs more."""


class PlainYamlError(ValueError):
    """The text is not YAML, or uses what configuration does without."""


def load_yaml(text: str) -> Any:
    """The one document in `text` as dict, list, str, int, float, bool or None.

    Raises `PlainYamlError` for broken YAML, a key that is there twice, anchors, tags, several
    documents, numbers beyond a double's range and control characters.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise PlainYamlError(f"{place}{', '.join(filter(None, (problem.context, problem.problem)))}") from None
    except yaml.YAMLError as problem:
        raise PlainYamlError(str(problem).splitlines()[0]) from None
    except RecursionError:
        raise PlainYamlError(f"nested more than {MAX_DEPTH} levels deep") from None


def dump_yaml(value: Any) -> str:
    """`value` as a block of YAML that `load_yaml` and any other reader of YAML 1.1 or 1.2 takes alike."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2 and without aliases, tags and merge keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's protocol
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not used here", problem_mark=_mark(self))
        event: Any = self.peek_event()
        if getattr(event, "tag", None) not in (None, "!"):
            raise yaml.MarkedYAMLError(problem=f"tags ({event.tag}) are not used here", problem_mark=event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested more than {MAX_DEPTH} levels deep", problem_mark=event.start_mark
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} comes twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


class _PlainDumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which puts text in quotes where YAML 1.1 or 1.2 would read something else."""


def _mark(loader: Any) -> Any:
    return loader.peek_event().start_mark


def _text(dumper: _PlainDumper, value: str) -> ScalarNode:
    # PyYAML writes U+0085 and U+2028 in plain text as if they were ends of lines; in double quotes it escapes them.
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if value.isprintable() else '"')


def _map(loader: _PlainLoader, node: MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


def _integer(loader: _PlainLoader, node: ScalarNode) -> int:
    try:
        return int(node.value, 0) if node.value[:2] in ("0x", "0o") else int(node.value)
    except ValueError:
        raise yaml.MarkedYAMLError(problem="a number with too many digits", problem_mark=node.start_mark) from None


def _number(loader: _PlainLoader, node: ScalarNode) -> float:
    value = float(node.value)
    if not math.isfinite(value):
        raise yaml.MarkedYAMLError(problem=f"{node.value} is too large a number", problem_mark=node.start_mark)
    return value


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    for _reader in (_PlainLoader, _PlainDumper):
        _reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))
_PlainDumper.add_representer(str, _text)
_PlainLoader.add_constructor("tag:yaml.org,2002:map", _map)
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _number)
