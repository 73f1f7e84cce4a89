"""What a data set is made from: the identity keys of its configuration and the versions of its stages, in run.json.

A run over an output directory whose identity keys differ is refused, naming each key and the first stage it touches;
`--redo STAGE` takes back the commits from that stage on. The same applies if a stage's `made_by` number or one of its
constants has changed since; then `--mix` continues with what is there, and run.json and the manifest keep both numbers.
A key that the configuration does not name keeps the value that the output directory was made with, so that a changed
default stops no run that began before. A directory whose files have another layout is refused by every command.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, TypeAdapter, ValidationError

from manifests.errors import DamagedFile, UserError
from manifests.run_status import STATUS_NAME
from manifests.settings import identity_values
from manifests.stages import MADE_BY, ORDER, STAGES, TABLE, find_stage, ours
from manifests.version import LAYOUT_VERSION, SCHEMA_VERSION
from pipeline.engine.store.store import Store
from pipeline.outdir.remade import forget_alike
from pipeline.outdir.tombstones import read_tombstones

log = logging.getLogger("hdvila")

Config = TypeVar("Config", bound=BaseModel)

Constants = Mapping[str, Mapping[str, Any]]
"""{stage: {name: value}}, in JSON's types."""
Made = tuple[int, Mapping[str, Any]]
"""A stage's number and its constants."""

RUN_FILE = "run.json"
REDO = "redo"
"""In run.json, while commits are being taken back: the first stage of these."""
_MAX_RUN_BYTES = 1024**2


def check_identity(
    store: Store,
    config: Config,
    *,
    redo: str = "",
    mix: bool = False,
    versions: Mapping[str, int] = MADE_BY,
    constants: Constants | None = None,
) -> Config:
    """Compares a configuration with the configuration that made the output directory; writes run.json if new or
    changed.

    Returns the configuration to continue with: under `mix`, keys that it does not name keep the values that made the
    directory. Raises UserError for a difference that `redo` does not cover; `mix` allows stages of another version.
    `versions` are the numbers of this program's stages, `constants` the values in its code that change what they make.
    """
    kept = _read_run_file(store)
    redo = _first_to_redo(redo, (kept or {}).pop(REDO, ""))
    redone = ORDER.index(redo) if redo else len(ORDER)
    if kept is not None:
        is_mixed = mix or any(len(numbers) > 1 for numbers in kept["made_by"].values())
        config = _refuse_changed_settings(store, kept, config, redone, is_mixed)
    now = constants or {}
    program = {name: (versions[name], now.get(name, {})) for name in ORDER}
    made_by = _made_by_now(store, kept or {}, program, redone, mix)
    if redo:
        _refuse_without_packs(store, redo)
        if kept is not None:  # noted first: a redo that is killed half-way is finished by the next run
            store.write_json(RUN_FILE, {**kept, REDO: redo})
        redo_from(store, redo)
    if kept is not None and kept["made_by"] != made_by:  # other versions may compare by other hashes
        forget_alike(store)
    facts = {
        "schema_version": SCHEMA_VERSION,
        "layout_version": LAYOUT_VERSION,
        "created_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "identity": {key: value for key, (value, _) in identity_values(config).items()},
        "stages": {key: stage for key, (_, stage) in identity_values(config).items()},
        "made_by": made_by,
        "constants": now,
    }
    if kept is None or any(kept.get(name) != facts[name] for name in ("identity", "made_by", "constants")):
        store.write_json(RUN_FILE, facts)
    elif redo:
        store.write_json(RUN_FILE, kept)
    return config


def is_of_a_run(path: Path) -> bool:
    """Whether a file named run.json was written by a run into its output directory, and is not an unrelated file."""
    try:
        kept = json.loads(path.read_bytes()) if path.stat().st_size <= _MAX_RUN_BYTES else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(kept, dict) and {"schema_version", "identity"} <= kept.keys()


def stages_made_by(store: Store) -> dict[str, list[int]]:
    """{stage: the numbers of all versions that worked on this output directory, oldest first}."""
    made_by: dict[str, list[int]] = store.read_json(RUN_FILE)["made_by"]
    return made_by


def open_directory(url: str) -> Store:
    """The output directory or data set at a path or url. Raises UserError for a directory of another layout."""
    store = Store(url)
    if store.is_local and Path(store.root).is_file():
        raise UserError(f"{url}: is a file; give the output directory of a run, or a data set")
    _read_run_file(store)
    return store


def open_directory_of_a_run(url: str) -> Store:
    """The same of a run's output directory. Raises UserError if no run began there."""
    store = open_directory(url)
    if not holds_run(store):
        raise UserError(f"{url}: holds no run; give the `out` of a run")
    return store


def holds_run(store: Store) -> bool:
    """Whether a run began in an output directory."""
    return any(map(store.exists, (RUN_FILE, STATUS_NAME))) or bool(store.stages())


def _read_run_file(store: Store) -> dict[str, Any] | None:
    """run.json; None if there is none, as in a merged data set. UserError if the directory has another layout."""
    if not store.exists(RUN_FILE):
        return None
    kept = store.read_json(RUN_FILE)
    if not isinstance(kept, dict):
        kept = {}
    if (kept.get("schema_version"), kept.get("layout_version")) != (SCHEMA_VERSION, LAYOUT_VERSION):
        raise UserError(
            f"{store.url}: its files have the layout of another version of this program, which this one does not read; "
            "use that version, or a new output directory"
        )
    odd = [name for name in ("identity", "stages", "made_by", "constants") if not isinstance(kept.get(name), dict)]
    if not odd and not all(isinstance(numbers, list) and numbers for numbers in kept["made_by"].values()):
        odd = ["made_by"]
    if not odd and not all(isinstance(values, dict) for values in kept["constants"].values()):
        odd = ["constants"]
    if odd:
        raise DamagedFile(f"{store.url}/{RUN_FILE}: {', '.join(odd)} cannot be read; restore the file")
    return kept


def _made_by_now(
    store: Store, kept: Mapping[str, Any], program: Mapping[str, Made], redone: int, mix: bool
) -> dict[str, list[int]]:
    """The numbers as this run will leave them: a stage mixed with itself, under other constants, has its number twice.
    UserError if a stage has another number or constant, unless `mix`.
    """
    recorded, constants = kept.get("made_by", {}), kept.get("constants", {})
    made_by: dict[str, list[int]] = {}
    differ: list[str] = []
    for rank, name in enumerate(ORDER):
        numbers = list(recorded.get(name, ()))
        if rank >= redone or not numbers or not _has_worked(store, name):
            numbers = [program[name][0]]
        elif changes := _changes((numbers[-1], constants.get(name, {})), program[name]):
            differ.append(f"{name} ({', '.join(changes)})")
            numbers.append(program[name][0])
        made_by[name] = numbers
    if differ and not mix:
        first = differ[0].partition(" ")[0]
        raise UserError(
            f"{store.url}: was made by another version of {', '.join(differ)}. Run with --redo {first} to remake it "
            "from there, or with --mix to continue: the manifest then names the versions that are mixed"
        )
    return made_by


def _changes(was: Made, now: Made) -> list[str]:
    """How two versions of a stage differ; a constant that either lacks is no difference."""
    changes = [] if was[0] == now[0] else [f"was {was[0]}, is now {now[0]}"]
    same_names = sorted(was[1].keys() & now[1].keys())
    return changes + [f"{n} was {was[1][n]}, is now {now[1][n]}" for n in same_names if was[1][n] != now[1][n]]


def _has_worked(store: Store, stage: str) -> bool:
    return bool(store.committed(stage)) or any(store.exists(file) for file in STAGES[stage].files)


def _refuse_changed_settings(
    store: Store, kept: Mapping[str, Any], config: Config, redone: int, is_mixed: bool
) -> Config:
    changed = _changed_keys(kept["identity"], config)
    touched = kept["stages"] | {key: stage for key, (_, stage) in identity_values(config).items()}
    ranks = {key: ORDER.index(_stage_touched(touched.get(key, ""))) for key in changed}
    if is_mixed:
        unnamed = {key: changed[key][0] for key in changed if ranks[key] < redone and not _is_named(config, key)}
        config = _with_values(config, unnamed, store.url)
        wanted = identity_values(config)
        changed = {key: values for key, values in changed.items() if wanted.get(key, (None,))[0] != values[0]}
    first = min((ranks[key] for key in changed), default=redone)
    if first < redone:
        raise UserError(_difference(store, config, changed, ORDER[first]))
    return config


def _is_named(config: BaseModel, key: str) -> bool:
    """Whether a configuration sets this key itself rather than leaving it at its default."""
    section: Any = config
    for name in key.split("."):
        if name not in getattr(section, "model_fields_set", ()):
            return False
        section = getattr(section, name)
    return True


def _with_values(config: Config, values: Mapping[str, Any], source: str) -> Config:
    """The configuration with these values, by dotted key; values that its model does not accept are left out."""
    for key, value in values.items():
        try:
            config = _replaced(config, key.split("."), value)
        except (ValidationError, AttributeError, KeyError):
            continue  # reported like any other difference
        log.warning(
            "%s: %s stays %r, as the directory was made; the configuration does not name it", source, key, value
        )
    return config


def _replaced(section: Config, path: list[str], value: Any) -> Config:
    name, *rest = path
    if rest:
        return section.model_copy(update={name: _replaced(getattr(section, name), rest, value)})
    kind: Any = type(section).model_fields[name].annotation
    return section.model_copy(update={name: TypeAdapter(kind).validate_python(value)})


def _changed_keys(kept: Mapping[str, Any], config: BaseModel) -> dict[str, tuple[Any, Any]]:
    """{key: (value that made the data set, current value)} of the identity keys that differ.

    A key that run.json lacks differs only if the configuration names it.
    """
    wanted = {key: value for key, (value, _) in identity_values(config).items()}
    known = kept.keys() | {key for key in wanted if _is_named(config, key)}
    return {key: (kept.get(key), wanted.get(key)) for key in sorted(known) if kept.get(key) != wanted.get(key)}


def _stage_touched(name: str) -> str:
    """The first stage that a changed key recorded with this name touches; the very first if it is unknown."""
    stage = find_stage(name)
    return stage.name if stage else ORDER[0]


def stage_of_redo(name: str) -> str:
    """The stage that `--redo NAME` means. Raises UserError if there is no such stage."""
    stage = find_stage(name)
    if stage is None:
        raise UserError(f"--redo {name}: no such stage; stages are {', '.join(ORDER)}")
    return stage.name


def _first_to_redo(asked: str, begun: str) -> str:
    """The earlier stage of the one that a person asks for and the one whose redo was begun; "" if there is neither."""
    return min((stage_of_redo(name) for name in (asked, begun) if name), key=ORDER.index, default="")


def redo_from(store: Store, name: str) -> None:
    """Takes back every commit of a stage and of those after it, so that they run again."""
    first = ORDER.index(stage_of_redo(name))
    if first <= ORDER.index("extract"):  # the crawl is planned again
        for folder in ("rounds", "rounds/wanted", "rounds/grown", "retries"):
            for plan in store.names(folder):
                store.delete(f"{folder}/{plan}")
    if first <= ORDER.index("media"):
        forget_alike(store)
    for folder in ("generations", "manifests"):  # none of their shards is kept
        for name in store.names(folder):
            store.delete(f"{folder}/{name}")
    for stage in TABLE[first:]:
        for relative in stage.files:
            store.delete(relative)
        for name in (stage.name, *(name for name in store.stages() if name != stage.name and ours(name) == stage.name)):
            store.uncommit(name, *store.committed(name))


def _refuse_without_packs(store: Store, name: str) -> None:
    """Raises UserError if a redo after media needs packs that are gone, but for those of removed videos: shards are
    joined from packs, which only the media stage can remake.
    """
    if ORDER.index(name) <= ORDER.index("media"):
        return
    present, tombstones = {f"packs/{pack}" for pack in store.names("packs")}, read_tombstones(store)
    rows = store.read_table("packs", ["video_id", "channel_id", "pack"])
    lost = rows.filter(pc.invert(pc.is_in(rows.column("pack"), value_set=pa.array(sorted({*present, ""})))))
    pairs = zip(lost.column("video_id").to_pylist(), lost.column("channel_id").to_pylist(), strict=True)
    if gone := sum(not tombstones.cover(*pair) for pair in set(pairs)):
        raise UserError(
            f"{store.url}: --redo {name} needs the packs of {gone} videos, which were removed once their samples "
            "were in shards (shards.keep_packs: false); run with --redo media, or choose another output directory"
        )


def _difference(store: Store, config: BaseModel, changed: Mapping[str, tuple[Any, Any]], first: str) -> str:
    lines = [f"  {key}: was {was!r}, is now {now!r}" for key, (was, now) in changed.items()]
    again = ", ".join(ORDER[ORDER.index(first) :])
    return (
        f"{store.url}: was made with other settings:\n"
        + "\n".join(lines)
        + f"\nThe first stage they touch is {first}. "
        f"Use another output directory, or run with --redo {first}, which redoes: {again}"
        + _hint_of_mix(config, changed)
    )


def _hint_of_mix(config: BaseModel, changed: Mapping[str, Any]) -> str:
    if any(_is_named(config, key) for key in changed):
        return ""
    return ". The configuration names none of these keys: with --mix they stay as the directory was made"
