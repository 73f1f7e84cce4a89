"""A data set is made with one set of identity keys; a run with others is refused and told what it would touch."""

import logging
from pathlib import Path
from typing import Any, ClassVar

import pytest

from manifests.errors import UserError
from manifests.settings import Section, identity, operational, parse_config
from manifests.stages import MADE_BY
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import RUN_FILE, check_identity, stages_made_by
from tests.pipeline.commands.program import said


class Text(Section):
    stage: ClassVar[str] = "clips"
    target_ms: int = identity(13_400, doc="target, ms")


class Cut(Section):
    stage: ClassVar[str] = "cut"
    mode: str = identity("remux", doc="mode")
    detector: str = identity("net", doc="detector")
    threads: int = operational(1, doc="threads")


class Config(Section):
    text: Text = Text()
    cut: Cut = Cut()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    check_identity(store, Config())
    for stage in ("extract", "clips", "media"):
        store.commit(stage, "u", {})
    return store


def test_the_same_settings_and_operational_changes_go_on(store: Store) -> None:
    check_identity(store, Config())
    check_identity(store, Config(cut=Cut(threads=8)))


def test_a_changed_identity_key_is_refused_naming_it_and_the_first_stage(store: Store) -> None:
    changed = Config(text=Text(target_ms=9000), cut=Cut(mode="exact"))

    with pytest.raises(UserError, match=r"text\.target_ms: was 13400, is now 9000") as refusal:
        check_identity(store, changed)
    assert "--redo clips" in str(refusal.value)
    assert store.committed("clips") == {"u"}


def test_redo_takes_back_that_stage_and_what_follows_and_nothing_before(store: Store) -> None:
    check_identity(store, Config(text=Text(target_ms=9000)), redo="clips")

    assert (store.committed("extract"), store.committed("clips"), store.committed("media")) == ({"u"}, set(), set())
    check_identity(store, Config(text=Text(target_ms=9000)))


def test_a_redo_that_is_killed_half_way_is_finished_by_the_next_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stage is taken back, and then the process dies: rows of later stages must not count beside new ones."""

    def dies(self: Store, stage: str, *units: str) -> None:
        uncommit(self, stage, *units)
        if units:
            raise KeyboardInterrupt

    uncommit, changed = Store.uncommit, Config(text=Text(target_ms=9000))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Store, "uncommit", dies)
        check_identity(store, changed, redo="clips")
    assert (store.committed("clips"), store.committed("media")) == (set(), {"u"})

    check_identity(store, changed)

    assert (store.committed("extract"), store.committed("media")) == ({"u"}, set())
    store.commit("media", "v", {})
    check_identity(store, changed)
    assert store.committed("media") == {"v"}, "it is taken back once"


def test_redo_of_a_later_stage_does_not_cover_an_earlier_difference(store: Store) -> None:
    with pytest.raises(UserError, match="first stage they touch is clips"):
        check_identity(store, Config(text=Text(target_ms=9000)), redo="media")


def test_a_stage_that_is_none_is_named_with_the_right_ones(store: Store) -> None:
    with pytest.raises(UserError, match="no such stage; stages are folder, urls, list"):
        check_identity(store, Config(), redo="shard")


def made_with(store: Store, **values: Any) -> None:
    """Changes run.json to say that the directory was made with these values of identity keys."""
    kept = store.read_json(RUN_FILE)
    store.write_json(RUN_FILE, kept | {"identity": kept["identity"] | values})


def test_a_key_that_run_json_lacks_differs_only_where_it_is_named(store: Store) -> None:
    kept = store.read_json(RUN_FILE)
    del kept["identity"]["cut.detector"]
    store.write_json(RUN_FILE, kept)

    with pytest.raises(UserError, match=r"cut\.detector: was None, is now 'content'"):
        check_identity(store, Config(cut=Cut(detector="content")))
    check_identity(store, Config())


NOW = MADE_BY["media"]
NEWER_MEDIA = MADE_BY | {"media": NOW + 1}


def test_another_version_of_a_stage_is_refused_and_redo_makes_it_again(store: Store) -> None:
    with pytest.raises(UserError, match=rf"media \(was {NOW}, is now {NOW + 1}\).*--redo media.*--mix"):
        check_identity(store, Config(), versions=NEWER_MEDIA)
    assert store.committed("media") == {"u"}

    check_identity(store, Config(), redo="media", versions=NEWER_MEDIA)
    assert store.committed("media") == set() and stages_made_by(store)["media"] == [NOW + 1]
    check_identity(store, Config(), versions=NEWER_MEDIA)


def test_versions_can_be_mixed_and_both_are_kept_on_record(store: Store) -> None:
    store.write("alike/pictures/00000/items.parquet", b"by the hashes of the version before")
    check_identity(store, Config(), mix=True, versions=NEWER_MEDIA)

    assert store.committed("media") == {"u"} and stages_made_by(store)["media"] == [NOW, NOW + 1]
    assert not store.names("alike/pictures/00000"), "what is compared is made anew, by hashes of one version"
    check_identity(store, Config(), versions=NEWER_MEDIA)


def test_a_default_that_changed_keeps_its_value_where_versions_are_mixed(store: Store, caplog: Any) -> None:
    made_with(store, **{"text.target_ms": 9000, "cut.detector": "content"})

    with pytest.raises(UserError, match="with --mix they stay"):
        check_identity(store, Config(), versions=NEWER_MEDIA)
    with caplog.at_level(logging.WARNING, "hdvila"):
        going_on = check_identity(store, Config(), mix=True, versions=NEWER_MEDIA)
    assert going_on == Config(text=Text(target_ms=9000), cut=Cut(detector="content"))
    assert "text.target_ms stays 9000" in caplog.text
    assert check_identity(store, Config(), versions=NEWER_MEDIA) == going_on, "a mixed directory goes on as it was"


def test_what_a_configuration_names_is_never_replaced(store: Store) -> None:
    with pytest.raises(UserError, match=r"cut\.mode: was 'remux', is now 'exact'"):
        check_identity(store, Config(cut=Cut(mode="exact")), mix=True)


def test_a_stage_that_is_redone_takes_the_defaults_of_today(store: Store) -> None:
    made_with(store, **{"text.target_ms": 9000, "cut.detector": "content"})
    made_again = check_identity(store, Config(), redo="clips", mix=True, versions=NEWER_MEDIA)

    assert made_again == Config()


@pytest.mark.parametrize("mark", ["schema_version", "layout_version"])
@pytest.mark.parametrize("settings", [{}, {"redo": "folder"}, {"mix": True}], ids=str)
def test_a_directory_of_an_older_layout_is_refused_and_stays_as_it_is(store: Store, mark: str, settings: Any) -> None:
    kept = {name: value for name, value in store.read_json(RUN_FILE).items() if name != mark}
    store.write_json(RUN_FILE, kept)

    with pytest.raises(UserError, match=r"layout of another version.*a new output directory") as refusal:
        check_identity(store, Config(), **settings)
    assert "\n" not in str(refusal.value)
    assert store.read_json(RUN_FILE) == kept and store.committed("clips") == {"u"}


@pytest.mark.parametrize(
    "words",
    ["status DIR", "why dQw4w9WgXcQ --out DIR", "verify DIR", "audit DIR", "report DIR",
     "retry DIR --reason stalled",
     "remove DIR --ids DIR/run.json", "export DIR --out DIR-2 --exact",
     "merge DIR DIR-1 --out DIR-2", "reshard DIR --out DIR-2", "show transcript dQw4w9WgXcQ --out DIR"],
)  # fmt: skip
def test_every_command_refuses_a_directory_of_an_older_layout(store: Store, words: str) -> None:
    kept = store.read_json(RUN_FILE)
    del kept["layout_version"]
    store.write_json(RUN_FILE, kept)

    with pytest.raises(UserError, match="the layout of another version"):
        said(*words.replace("DIR", store.url).split())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", '{"schema_version": 1}', "[" * 100_000, '{"schema_version": 1, "layout_version": 4}',
     '{"schema_version": 1, "layout_version": 4, "identity": 5, "stages": {}, "made_by": {}, "constants": {}}',
     '{"schema_version": 1, "layout_version": 4, "identity": {}, "stages": {}, "made_by": {"a": 5}, "constants": {}}',
     '{"schema_version": 1, "layout_version": 4, "identity": {}, "stages": {}, "made_by": {}, "constants": {"a": 5}}'],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_a_damaged_run_json_is_one_message(tmp_path: Path, text: str) -> None:
    store = Store(str(tmp_path))
    store.write("run.json", text.encode())

    with pytest.raises(UserError):
        check_identity(store, parse_config(Config, {}, source="test"), versions=MADE_BY)


def test_a_changed_constant_of_the_code_is_refused_like_another_version_of_its_stage(store: Store) -> None:
    check_identity(store, Config(), constants={"media": {"Cutting.preroll_ms": 100}, "shards": {"SIZE": 1}})
    now = {"media": {"Cutting.preroll_ms": 120, "Cutting.gap_ms": 5}, "shards": {"SIZE": 2}}

    with pytest.raises(UserError, match=r"media \(Cutting\.preroll_ms was 100, is now 120\)") as refusal:
        check_identity(store, Config(), constants=now)
    assert "--redo media" in str(refusal.value) and "SIZE" not in str(refusal.value), "no shard has been made"

    check_identity(store, Config(), mix=True, constants=now)
    assert stages_made_by(store)["media"] == [NOW, NOW]
    check_identity(store, Config(), constants=now)
