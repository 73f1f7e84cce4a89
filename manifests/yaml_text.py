"""Reads a text in YAML: plain values only.

A key given twice is an error: YAML readers silently take the last, and the first is often the one meant.
"""

from collections.abc import Hashable
from typing import Any

import yaml


def read_text(text: str) -> Any:
    """What a text says. Raises ValueError that says what is wrong, and where."""
    try:
        return yaml.load(text, _EachKeyOnce)
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"is not valid YAML: {_what_and_where(error)}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is not valid YAML: {error}") from None
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise ValueError(f"holds a value that cannot be read ({error})") from None
    except RecursionError:
        raise ValueError("is not a configuration: brackets in brackets, too many to read") from None


class _EachKeyOnce(yaml.SafeLoader):
    """Loads plain values only (no Python objects), and rejects a key given twice in a mapping, and half a character."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if isinstance(node, yaml.ScalarNode) and not node.value.isascii():
            node.value.encode()  # UnicodeEncodeError, a ValueError: "\ud800" is no text
        return super().construct_scalar(node)

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
