"""`reshard --scores --where`: clips whose sentence does not fit are left out, and what is left is balanced again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import pipeline.cli
from hdvila_testing.shards import NO_CARD, commit_video, make_shards, select
from manifests.embeddings import Head, table_bytes, table_name
from manifests.exits import ExitCode
from manifests.files import Files
from manifests.schema import EMBEDDED
from manifests.shards import read_manifest, read_shard_rows
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from tests.pipeline.dataset.test_reshard import samples

CATEGORIES = (10, 17)
N_VIDEOS, N_CLIPS = 12, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Videos of two categories, and scores: of each video's clips, the first fits, the last does not; of category 17
    the second does not either. One clip of the first video has no score.
    """
    folder = tmp_path_factory.mktemp("data")
    store = Store(str(folder))
    for k in range(N_VIDEOS):
        commit_video(store, f"video-{k:05d}", n_clips=N_CLIPS, category_id=CATEGORIES[k % 2], channel_id=f"channel-{k}")
    select(store)
    make_shards(store, config=ShardsConfig(max_samples=7, split=SplitConfig(val=0.2), card=NO_CARD))
    manifest = read_manifest(str(folder))
    files = Files(str(folder / "embeddings/scores"))
    head = Head("a" * 64, manifest.sha256, 0, batch=1, sentences=9)
    files.write("head.json", head.as_bytes())
    for shard in manifest.shards:
        rows = read_shard_rows(manifest, shard).to_pylist()
        scored = [row for row in rows if row["key"] != "video-00000_00000"]
        match = [-9.5 if fails(row["key"], row["category_id"]) else -0.1 for row in scored]
        columns = dict.fromkeys(EMBEDDED.names, np.ones(len(scored))) | {
            "key": [row["key"] for row in scored],
            "match": match,
        }
        files.write(table_name(shard), table_bytes(shard, head, columns))
    return folder


def fails(key: str, category_id: int) -> bool:
    n = int(key[-5:])
    return n == 2 or (n == 1 and category_id == 17)


def resharded(made: Path, out: Path, *words: str, scores: str = "embeddings/scores", code: int = 0) -> str:
    given = ["--scores", str(made / scores)] if scores else []
    done = CliRunner().invoke(pipeline.cli.app, ["reshard", str(made), "--out", str(out), *given, *words])
    assert done.exit_code == code or (code and done.exception), done.output
    return done.output + str(done.exception or "")


def rows_of(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.glob("shards/*/*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_what_does_not_fit_is_left_out_with_its_score(made: Path, tmp_path: Path):
    out = tmp_path / "out"
    resharded(made, out, "--where", "match > -4")

    before, after = samples(made), samples(out)
    rows = {row["key"]: row for row in rows_of(out)}
    category = {row["key"]: row["category_id"] for row in rows_of(made)}
    fit = {key for key in before if key != "video-00000_00000" and not fails(key, category[key])}
    assert after.keys() == fit and {k: members for k, (_, members) in after.items()} == {k: before[k][1] for k in fit}
    assert rows.keys() == before.keys()
    for key in before.keys() - fit:
        assert rows[key]["status"] != "success" and rows[key]["reason"] == "low_match"
        assert rows[key]["error_message"].startswith("match -9.5, ") or key == "video-00000_00000"
    assert list(verify(Store(str(out)), decode=0)) == []


def test_report_card_and_why_say_what_was_left_out(made: Path, tmp_path: Path):
    out = tmp_path / "out"
    resharded(made, out, "--where", "match > -4")

    chosen = read_manifest(str(out)).head["chosen"]
    assert chosen["where"] == "match > -4" and chosen["model"] == "a" * 64
    assert chosen["left_out"] == {"10": {"kept": 11, "low_match": 7}, "17": {"kept": 6, "low_match": 12}}
    assert "| Music | 11 | 7 |" in (out / "dataset_card.md").read_text()
    page = (out / "report/index.html").read_text()
    assert "Chosen among more" in page and "<code>match &gt; -4</code>" in page
    told = CliRunner().invoke(pipeline.cli.app, ["why", "video-00003.2", "--out", str(out)])
    assert "low_match" in told.output and "match -9.5" in told.output and "video-00003.1" not in told.output
    told = CliRunner().invoke(pipeline.cli.app, ["why", "video-00003", "--out", str(out)])
    assert told.output.count("video-00003.") >= N_CLIPS and "kept: shards/" in told.output
    nobody = CliRunner().invoke(pipeline.cli.app, ["why", "nobody-knows", "--out", str(out)])
    assert nobody.exit_code != 0


def test_categories_are_even_again_and_no_channel_is_in_two_splits(made: Path, tmp_path: Path):
    out = tmp_path / "out"
    words = ["--set", "balance.unit=clips", "--set", "balance.total=8", "--split-by", "channel", "--val", "0.3"]
    resharded(made, out, "--where", "match > -4", *words)

    kept = Counter(row["category_id"] for row in rows_of(out) if row["status"] == "success")
    assert kept == {10: 4, 17: 4}
    reasons = Counter(row["reason"] for row in rows_of(out))
    assert reasons["over_quota"] == 17 - 8 and reasons["low_match"] == 19
    splits: dict[str, set[str]] = {}
    for key, (split, _) in samples(out).items():
        splits.setdefault(split, set()).add(key[:11])
    assert len(splits) == 2 and not set.intersection(*splits.values())
    by_category = read_manifest(str(out)).head["splits"]["val"]["categories"]
    assert set(by_category) == {"10", "17"}
    assert [row["kept"] for row in json.loads((out / "balance.json").read_text())["categories"] if row["kept"]] == [
        4,
        4,
    ]


def test_expressions_need_no_scores_and_a_choice_is_the_same_each_time(made: Path, tmp_path: Path):
    for name in ("a", "b"):
        resharded(made, tmp_path / name, "--where", "category_id = 10", scores="")
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in sorted((tmp_path / name).glob("shards/*/*"))}
        for name in ("a", "b")
    )
    assert first == second and len(samples(tmp_path / "a")) == 18


@pytest.mark.parametrize("damage", ["another manifest", "no table", "no number", "no head"])
def test_scores_that_do_not_fit_are_refused_by_name_and_nothing_is_written(made: Path, tmp_path: Path, damage: str):
    folder = tmp_path / "scores"
    folder.mkdir()
    for path in (made / "embeddings/scores").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    table = sorted(folder.glob("*.parquet"))[0]
    said = {
        "another manifest": "embeddings of manifest 000000000000",
        "no table": f"tables are missing, the first is {table.name}",
        "no number": f"{table.name}: holds a number that is not finite",
        "no head": "no head.json",
    }[damage]
    if damage == "another manifest":
        head = json.loads((folder / "head.json").read_text())
        (folder / "head.json").write_text(json.dumps({**head, "manifest": "0" * 64}))
    elif damage == "no table":
        table.unlink()
    elif damage == "no number":
        rows = pq.read_table(table)
        pq.write_table(
            rows.set_column(1, rows.schema.field(1), pa.array([float("nan")] * len(rows), pa.float32())), table
        )
    else:
        (folder / "head.json").unlink()

    out = resharded(made, tmp_path / "out", "--where", "match > -4", scores=str(folder), code=ExitCode.USER_ERROR)
    assert said in out and not (tmp_path / "out/manifest.json").exists() and not list(tmp_path.glob("out/shards/*"))


def test_a_choice_that_leaves_nothing_and_scores_that_nothing_uses_are_refused(made: Path, tmp_path: Path):
    assert "no sample is left" in resharded(made, tmp_path / "out", "--where", "match > 5", code=ExitCode.USER_ERROR)
    assert "nothing uses them" in resharded(made, tmp_path / "out", code=ExitCode.USER_ERROR)
    assert "cannot be evaluated" in resharded(made, tmp_path / "out", "--where", "match >", code=ExitCode.USER_ERROR)


@pytest.fixture(scope="module")
def embedded(made: Path) -> Path:
    """Embeddings of the same clips: all first clips mean the same but for a trace, the others lie apart."""
    manifest, files = read_manifest(str(made)), Files(str(made / "embeddings/whole"))
    head = Head("b" * 64, manifest.sha256, 32, batch=1, sentences=9)
    files.write("head.json", head.as_bytes())
    for shard in manifest.shards:
        keys = read_shard_rows(manifest, shard)["key"].to_pylist()
        dice = [np.random.default_rng(int(key[6:11]) * 100 + int(key[-5:])) for key in keys]
        noise = np.stack([one.normal(size=32) for one in dice])
        vectors = np.where([[key.endswith("_00000")] for key in keys], 9 * np.eye(32)[0] + 0.1 * noise, noise)
        columns = dict.fromkeys(EMBEDDED.names, np.ones(len(keys))) | {"key": keys}
        files.write(table_name(shard), table_bytes(shard, head, columns, *[vectors.astype(np.float16)] * 2))
    return made


def test_no_concept_has_more_than_its_cap_and_the_report_shows_them(embedded: Path, tmp_path: Path):
    out = tmp_path / "out"
    words = ["--set", "balance.concepts.k=3", "--set", "balance.concepts.cap=5"]
    resharded(embedded, out, *words, scores="embeddings/whole")

    rows = rows_of(out)
    over = [row for row in rows if row["reason"] == "over_concept_cap"]
    first = [row for row in rows if row["key"].endswith("_00000") and row["status"] == "success"]
    shown = json.loads((out / "concepts.json").read_text())["concepts"]
    assert len(over) >= 7 and len(first) <= 5 and all(concept["kept"] <= 5 for concept in shown)
    assert sum(concept["n"] for concept in shown) == len(rows) == N_VIDEOS * N_CLIPS
    page = (out / "report/index.html").read_text()
    assert f"{shown[0]['kept']} of {shown[0]['n']} clips kept" in page and "a frame of" in page

    example = shown[0]["examples"][0]["key"]
    (tmp_path / "ids.txt").write_text(f"{example[:11]}\n")
    removed = CliRunner().invoke(pipeline.cli.app, ["remove", str(out), "--ids", str(tmp_path / "ids.txt")])
    assert removed.exit_code == 0, removed.output
    assert not (out / "concepts.json").exists()


def test_clips_that_repeat_another_video_of_their_category_are_left_out(embedded: Path, tmp_path: Path):
    resharded(embedded, tmp_path / "out", "--set", "balance.alike=0.95", scores="embeddings/whole")

    rows = {row["key"]: row for row in rows_of(tmp_path / "out")}
    repeats = {key: row for key, row in rows.items() if row["reason"] == "duplicate_clip"}
    assert len(repeats) == N_VIDEOS - len(CATEGORIES) and all(key.endswith("_00000") for key in repeats)
    for row in repeats.values():
        other = rows[row["error_message"].split()[1].rstrip(",")]
        assert other["status"] == "success" and other["category_id"] == row["category_id"]


def test_concepts_need_embeddings_of_one_model(made: Path, tmp_path: Path):
    said = resharded(made, tmp_path / "out", "--set", "balance.concepts.k=3", code=ExitCode.USER_ERROR)
    assert "need embeddings" in said and not (tmp_path / "out/manifest.json").exists()
