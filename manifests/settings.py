"""How every configuration is declared and read: YAML in, frozen pydantic models out.

A key is *identity* (it changes what comes out) or *operational* (rates, cookies, proxies, workers, paths, limits).
Operational keys may change between two runs over one output directory; a changed identity key makes the pipeline refuse
and name the first stage that it touches.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from manifests.errors import ConfigError
from manifests.retired import retired_setting
from manifests.wrong_value import field_at, sections_in, wrong_value

M = TypeVar("M", bound=BaseModel)

IDENTITY = "identity"
OPERATIONAL = "operational"


class Section(BaseModel):
    """A section of a configuration: frozen; unknown keys are an error.

    `stage` is the first pipeline stage that a changed identity key of this section touches ("" if none). `packages`:
    the package and version behind each step that it holds keys of; `used`: more of these steps (manifests/plugins.py).
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )
    stage: ClassVar[str] = ""
    packages: ClassVar[Mapping[str, str]] = {}
    used: ClassVar[tuple[Any, ...]] = ()


def identity(default: Any = ..., *, doc: str, **constraints: Any) -> Any:
    """A key that changes what comes out. `doc` describes it with its unit; constraints are pydantic's (ge, le …)."""
    return _field(default, IDENTITY, doc, constraints)


def operational(default: Any = ..., *, doc: str, **constraints: Any) -> Any:
    """A key that changes how a run is carried out, not what comes out."""
    return _field(default, OPERATIONAL, doc, constraints)


def _field(default: Any, kind: str, doc: str, constraints: dict[str, Any]) -> Any:
    extra: dict[str, Any] = {"kind": kind}
    if callable(default) and not isinstance(default, type(...)):
        return Field(default_factory=default, description=doc, json_schema_extra=extra, **constraints)
    return Field(default, description=doc, json_schema_extra=extra, **constraints)


Variants = Mapping[str, type[BaseModel]]


def one_of(sections: Callable[[], Variants], parse: Callable[[Any], Any], default: Callable[[], Any]) -> Any:
    """The annotations of a section whose keys depend on its kind: `key: Annotated[Base, *one_of(...)]`.

    `sections()` gives the possible classes by the name shown to readers ("" if there is only one), `parse(tree)` makes
    a section from a tree, `default()` makes the section to use if the configuration does not set it.
    """
    field = Field(default_factory=default, json_schema_extra={"sections": sections})  # type: ignore[dict-item]
    return BeforeValidator(parse), field


def load_config(
    model: type[M], path: Path | None, overrides: list[str] | None = None, *, context: Mapping[str, Any] | None = None
) -> M:
    """Loads the configuration in a YAML file (None: all defaults) with `a.b=c` overrides on top.

    `context` goes to the models' validators: what the command line says and no configuration can. Raises ConfigError
    naming the file and the key for anything invalid.
    """
    tree = read_yaml(path) if path is not None else {}
    for override in overrides or []:
        _set_override(tree, override)
    source = str(path) if path is not None else "the given settings"
    return parse_config(model, tree, source=source, context=context)


def parse_config(
    model: type[M], tree: Mapping[str, Any], *, source: str, context: Mapping[str, Any] | None = None
) -> M:
    """Validates a tree of settings as a model; ConfigError names each bad key and the nearest correct key."""
    try:
        return model.model_validate(tree, context=dict(context or {}))
    except ValidationError as error:
        lines = [line for problem in error.errors() for line in _problem_lines(model, dict(problem))]
        raise ConfigError(f"{source}: " + "\n  ".join(["cannot be used:", *lines])) from None


def _set_override(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    *parents, leaf = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {parent} is not a section")
    if value.isascii() and value.isalpha() and value.islower():
        tree[leaf] = _WORDS.get(value, value)
        return
    from manifests.yaml_text import read_text  # takes long to import, and not every start of `cut` needs it

    try:
        tree[leaf] = read_text(value)
    except ValueError:
        raise ConfigError(f"--set {override[:200]}: the value is not one that YAML reads") from None


_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "null": None}
"""What YAML 1.1 makes of words of small letters; any other is itself."""


def _problem_lines(model: type[BaseModel], problem: dict[str, Any]) -> list[str]:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing" and (inside := _required_in(field_at(model, problem["loc"]))):
        return [f"{key}.{name}: is required ({field.description})" for name, field in inside]
    if problem["type"] == "invalid_key":  # a number or a date instead of a name
        return [f"{key}: no such key"]
    if instead := retired_setting(".".join(p for p in problem["loc"] if isinstance(p, str)), problem["input"]):
        return [f"{key}: no longer there; {instead}"]
    if problem["type"] != "extra_forbidden":
        return [f"{key or 'the whole file'}: {wrong_value(model, problem)}"]
    nearest = _sibling(model, problem["loc"]) or nearest_key(model, [p for p in problem["loc"] if isinstance(p, str)])
    return [f"{key}: no such key" + (f"; did you mean {nearest}?" if nearest else "")]


def _required_in(field: FieldInfo | None) -> list[tuple[str, FieldInfo]]:
    """The required keys of a section if a key is a section: what to write in a missing section would not be obvious."""
    section = _section_of(field.annotation) if field is not None else None
    return [] if section is None else [(name, f) for name, f in section.model_fields.items() if f.is_required()]


def _sibling(model: type[BaseModel], where: Sequence[str | int]) -> str:
    """The key closest to an unknown key in the same section, list items included; "" if none is close."""
    field = field_at(model, where[:-1]) if len(where) > 1 else None
    fields = {name: f for section in (sections_in(field) if field else ()) for name, f in section.model_fields.items()}
    close = _meant(str(where[-1]), fields)
    return ".".join(str(part) for part in (*where[:-1], close)) if close else ""


def _meant(word: str, fields: Mapping[str, FieldInfo]) -> str:
    """The key whose name is near to a word, or whose meaning has the word; "" if none."""
    if close := difflib.get_close_matches(word, fields, n=1, cutoff=0.6):
        return close[0]
    in_a_meaning = re.compile(rf"\b{re.escape(word)}\b")
    return next((name for name, field in fields.items() if in_a_meaning.search(field.description or "")), "")


def nearest_key(model: type[BaseModel], where: list[str]) -> str:
    """The known dotted key closest to an unknown key; "" if none is close."""
    paths = [path for path, _ in walk_keys(model)]
    prefix = ".".join(where[:-1])
    leaves = {p.rpartition(".")[2]: p for p in paths if p.rpartition(".")[0] == prefix}
    if close := difflib.get_close_matches(where[-1], leaves, n=1, cutoff=0.5):
        return leaves[close[0]]
    return next(iter(difflib.get_close_matches(".".join(where), paths, n=1, cutoff=0.6)), "")


def walk_keys(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yields every key of a configuration as a dotted path with its field, sections before their keys."""
    for path, field, _ in _walk(model, "", ""):
        yield path, field


def _walk(model: type[BaseModel], prefix: str, variant: str) -> Iterator[tuple[str, FieldInfo, str]]:
    """The same plus the name of the section variant that a key belongs to, "" if it has none."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path, field, variant
        for inner, section in _sections_of(field).items():
            yield from _walk(section, f"{path}.", inner or variant)


def _sections_of(field: FieldInfo) -> Variants:
    """The sections that a key can hold, by variant; {} for a plain value."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "sections" in extra:
        ask: Any = extra["sections"]
        variants: Variants = ask()
        return variants
    section = _section_of(field.annotation)
    return {"": section} if section is not None else {}


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) not in (Union, UnionType):
        return None
    models = (inner for inner in get_args(annotation) if isinstance(inner, type) and issubclass(inner, BaseModel))
    return next(models, None)


def describe_keys(model: type[BaseModel]) -> list[dict[str, str]]:
    """Each key with its default, kind and documentation: what `config` prints, and docs/settings.md lists.

    A key that several variants of a section have comes once, with what it is in each of them.
    """
    fields: dict[str, list[tuple[str, FieldInfo]]] = {}
    for path, field, variant in _walk(model, "", ""):
        extra = field.json_schema_extra
        if not _sections_of(field) or (isinstance(extra, dict) and "kind" in extra):
            fields.setdefault(path, []).append((variant, field))
    rows = []
    for path, of_key in fields.items():
        extra = of_key[0][1].json_schema_extra
        kind = str(extra.get("kind", "")) if isinstance(extra, dict) else ""
        defaults = {variant: _default_text(field) for variant, field in of_key}
        default = (
            next(iter(defaults.values())) if len(set(defaults.values())) == 1 else _by_variant(defaults, "{1} ({0})")
        )
        doc = _by_variant({variant: field.description or "" for variant, field in of_key}, "({0}) {1}")
        rows.append({"key": path, "default": default, "kind": kind, "doc": doc})
    return rows


def _by_variant(texts: Mapping[str, str], form: str) -> str:
    """Each text of {variant: text} once, with its variants; the text alone where the section has no variants ("")."""
    if "" in texts:
        return texts[""]
    told: dict[str, list[str]] = {}
    for variant, text in texts.items():
        told.setdefault(text, []).append(variant)
    return "; ".join(form.format(", ".join(variants), text) for text, variants in told.items())


def _default_text(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "(required)"
    if isinstance(default, SecretStr | SecretBytes):
        return "(secret)"
    if isinstance(default, BaseModel):
        return "(section)"
    import yaml

    return yaml.safe_dump(_plain(default), default_flow_style=True, width=10_000).strip().removesuffix("\n...")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def identity_values(config: BaseModel) -> dict[str, tuple[Any, str]]:
    """{dotted key: (value, first stage touched)} of every identity key: where they agree, runs make the same data."""
    values: dict[str, tuple[Any, str]] = {}
    _collect_identity(config, "", values)
    return values


def _collect_identity(section: BaseModel, prefix: str, values: dict[str, tuple[Any, str]], outer: str = "") -> None:
    stage = (section.stage if isinstance(section, Section) else "") or outer
    for name, package in section.packages.items() if isinstance(section, Section) else ():
        values[f"{prefix}{name}.package"] = (package, stage)
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("kind") == IDENTITY:
            values[f"{prefix}{name}"] = (_plain(value), stage)
        elif isinstance(value, BaseModel):
            _collect_identity(value, f"{prefix}{name}.", values, stage)


_ADDRESS = re.compile(r"[a-z][a-z0-9]+:/")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, {} if it is empty. Raises ConfigError for anything else, in one message."""
    from manifests.yaml_text import read_text

    text = _text_of(path)
    try:
        tree = read_text(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        kind = "a list" if isinstance(tree, list) else "a single value"
        raise ConfigError(f"{path}: must hold keys and values (key: value, one a line), not {kind}")
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
