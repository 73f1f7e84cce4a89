"""The audit in numbers: what a requirement holds against, and two data sets side by side."""

import json
from pathlib import Path
from threading import Barrier

import pytest
from typer.testing import CliRunner

from hdvila_testing.rows import a_clip_row, commit_rows
from hdvila_testing.shards import NO_CARD, a_data_set
from manifests.audit import AUDIT_NAME, Audit, Metrics, parse_requirement
from manifests.errors import UserError
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.report import clips
from pipeline.report.audit import SAID_OFTEN, read_audit, recount
from pipeline.report.page import write_report

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=NO_CARD)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = a_data_set(tmp_path_factory.mktemp("data"), n_videos=6, n_clips=2, videos_a_channel=3, config=CONFIG)
    write_report(store)
    return store


def test_the_numbers_are_those_of_the_data_set(made: Store) -> None:
    audit = read_audit(made)

    metrics = audit.metrics
    assert (metrics.clips, metrics.videos, metrics.channels) == (10, 6, 2)  # every third video has a failed clip
    assert metrics.height_min == 180 and metrics.top_channel_share == 0.5 and metrics.effective_channels == 2
    assert sum(c.clips for c in audit.categories) == 10
    assert sum(audit.distributions["resolution"].values()) == 10
    assert abs(sum(c.hd_vila_share for c in audit.categories) - 1) < 0.01


def test_a_sentence_that_three_videos_say_is_counted_whosever_they_are(tmp_path: Path) -> None:
    store = a_data_set(tmp_path, n_videos=4, n_clips=1, videos_a_channel=1, config=CONFIG)
    said = {
        "v1": "So that's it. Thanks for watching this one!",
        "v2": "Thanks for watching, this one. Thanks for watching this one.",
        "v3": "thanks for watching this one",
        "v4": "Thanks for watching. So that's it.",
    }
    commit_rows(store, "clips", "more", {"clips": [a_clip_row(i, 0, 0, 9000, text=text) for i, text in said.items()]})
    audit = recount(store)
    assert audit.distributions[SAID_OFTEN] == {"thanks for watching this one": 3}
    assert audit.clips_behind[SAID_OFTEN] == len(said)
    assert "thanks for watching this one" in store.read(write_report(store)).decode()


def test_evenness_is_that_of_what_is_left_after_a_removal(tmp_path: Path) -> None:
    store = a_data_set(tmp_path, n_videos=2, n_clips=2, config=CONFIG)
    before = recount(store).metrics
    assert before.entropy > 0.2 and before.effective_categories == 2
    remove(store, Tombstones(videos=frozenset({"video-00000"})))
    after = recount(store).metrics
    assert after.entropy == 0 and after.effective_categories == 1


def test_what_the_tables_know_is_counted_of_every_clip_and_the_rest_of_those_whose_json_was_read(
    made: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "LOOKED_AT_MOST", 4)
    at_once = Barrier(4, timeout=20)  # the four are asked for side by side, or none comes

    def read_together(store: Store, relative: str, start: int, end: int) -> bytes:
        at_once.wait()
        return read_range(store, relative, start, end)

    read_range = Store.read_range
    with monkeypatch.context() as patch:
        patch.setattr(Store, "read_range", read_together)
        audit = recount(made)

    assert audit.clips_looked_at == 4 and audit.shards_read == audit.metrics.shards > 1
    for subject in ("licence", "year of upload", "flags", "resolution", "codec"):
        assert audit.clips_behind[subject] == 10, subject
    assert audit.distributions["licence"] == {"not known": 10} and audit.distributions["year of upload"] == {"2024": 10}
    assert audit.clips_behind["scene cuts in a clip"] == 4
    assert audit.distributions["language"] == {"en": 4}  # this one has no table of clips, so KEY.json alone says

    reshard(made, Store(str(tmp_path)), ShardsConfig(max_samples=9, card=NO_CARD))
    without_tables = recount(Store(str(tmp_path)))
    assert without_tables.clips_behind["licence"] == 4 and without_tables.distributions["licence"] == {"not known": 4}
    assert without_tables.clips_behind["codec"] == without_tables.metrics.clips == 10


def test_the_file_keeps_to_its_published_schema(made: Store) -> None:
    shown = json.loads(CliRunner().invoke(app, ["report", "--schema"]).output)

    written = made.read_json(AUDIT_NAME)
    assert set(written) == set(shown["properties"]) and set(written["metrics"]) == set(Metrics.model_fields)
    assert Audit.model_validate(written) == recount(made)
    assert all(field.description for field in Metrics.model_fields.values())


@pytest.mark.parametrize(
    ("require", "code", "says"),
    [
        (["clips>=10", "height_min>=180"], 0, "holds: clips>=10 (it is 10)"),
        (["clips>10"], 1, "falls short: clips>10 (it is 10)"),
        (["clips>=1", "height_min>=720"], 1, "falls short: height_min>=720 (it is 180)"),
        (["alignment_mean < 2"], 0, "holds"),
    ],
)
def test_requirements_hold_or_end_with_1_and_are_named(made: Store, require: list[str], code: int, says: str) -> None:
    given = [word for text in require for word in ("--require", text)]
    done = CliRunner().invoke(app, ["audit", made.url, *given])

    assert done.exit_code == code and says in done.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("entrpy>=0.9", "did you mean entropy"),
        ("entropy", "write it as metric"),
        ("entropy>=many", "write it as metric"),
        ("entropy>=1.2.3", "write it as metric"),
    ],
)
def test_a_requirement_that_is_none_says_how_one_is_written(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_requirement(text)


def test_what_is_not_known_never_holds() -> None:
    unknown = Metrics.model_validate(dict.fromkeys(Metrics.model_fields, -1))

    assert not parse_requirement("licence_known>=-5").holds(unknown)
    assert not parse_requirement("licence_known<1").holds(unknown)


def test_two_data_sets_stand_side_by_side(made: Store, tmp_path: Path) -> None:
    other = a_data_set(tmp_path, n_videos=3, n_clips=1, config=CONFIG)
    done = CliRunner().invoke(app, ["report", "--compare", made.url, other.url])

    lines = [line.split() for line in done.output.splitlines()]
    assert ["clips", "10", "2", "-8"] in lines
    assert any(line[:3] == ["share", "of", "Music"] for line in lines)


def test_merge_and_reshard_leave_a_report_of_what_they_made(made: Store, tmp_path: Path) -> None:
    other = a_data_set(tmp_path / "b", n_videos=3, n_clips=1, prefix="other", config=CONFIG)
    merged, resharded = Store(str(tmp_path / "merged")), Store(str(tmp_path / "resharded"))
    merge([made, other], merged)
    reshard(made, resharded, ShardsConfig(max_samples=3, card=NO_CARD))

    assert read_audit(merged).metrics.clips == 12 and read_audit(resharded).metrics.clips == 10
    for store in (merged, resharded):
        assert "The clips" in store.read("report/index.html").decode() and store.exists(AUDIT_NAME)
