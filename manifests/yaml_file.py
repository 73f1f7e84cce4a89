"""Reads a configuration's YAML: a mapping of keys, each given once; one message says what is wrong, and where.

A key given twice is an error: YAML readers silently take the last one, and the first is often the one meant.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from manifests.errors import ConfigError

_ADDRESS = re.compile(r"[a-z][a-z0-9]+:/")


class _EachKeyOnce(yaml.SafeLoader):
    """Loads plain values only (no Python objects), and rejects a key given twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, {} if it is empty. Raises ConfigError for anything else, in one message."""
    text = _text_of(path)
    try:
        tree = yaml.load(text, _EachKeyOnce)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {_what_and_where(error)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is not a configuration: brackets in brackets, too many to read") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        found = "a list" if isinstance(tree, list) else "a single value"
        raise ConfigError(f"{path}: must hold keys and values (key: value, one a line), not {found}")
    return tree


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):
            raise ConfigError(f"{path}: a configuration is a file on this machine; copy it here first") from None
        raise ConfigError(f"{path}: no such configuration file; check the path") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the YAML file in it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text in UTF-8; a configuration is a YAML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from None


def _what_and_where(error: yaml.MarkedYAMLError) -> str:
    """What the YAML parser reported, with the line number and the line itself."""
    what = ": ".join(part for part in (error.context, error.problem) if part)
    if "'\\t'" in what:
        what = "a tab; YAML is indented by spaces only"
    mark = error.problem_mark
    if mark is None:
        return what
    snippet = mark.get_snippet(indent=2)
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" + (f"\n{snippet}" if snippet else "")
