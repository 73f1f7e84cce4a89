"""A data set is made with one set of identity keys; a run with others is refused and told what it would touch."""

from pathlib import Path
from typing import ClassVar

import pytest

from manifests.errors import UserError
from manifests.settings import Section, identity, operational
from pipeline.engine.store import Store
from pipeline.outdir.identity import check_identity


class Text(Section):
    stage: ClassVar[str] = "clips"
    target_ms: int = identity(13_400, doc="target, ms")


class Cut(Section):
    stage: ClassVar[str] = "cut"
    mode: str = identity("remux", doc="mode")
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


def test_redo_of_a_later_stage_does_not_cover_an_earlier_difference(store: Store) -> None:
    with pytest.raises(UserError, match="first stage they touch is clips"):
        check_identity(store, Config(text=Text(target_ms=9000)), redo="media")


def test_a_stage_that_is_none_is_named_with_the_right_ones(store: Store) -> None:
    with pytest.raises(UserError, match="no such stage; stages are folder, list"):
        check_identity(store, Config(), redo="shard")
