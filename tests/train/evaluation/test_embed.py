"""`hdvila-train embed`: the same tables from any number of ranks, and their use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

import train
from hdvila_testing.drawn_set import MICRO_MODEL, Scene, Shape, a_tree, write_dataset
from manifests.embeddings import HEAD, put_head, read_embedded, read_head, refuse_other_manifest, table_name
from manifests.errors import DamagedFile, UserError
from manifests.files import Files
from manifests.settings import parse_config
from manifests.shards import read_manifest
from train.cli import app
from train.config import TrainConfig
from train.data.index import load_index
from train.data.where import chosen
from train.distributed import Process
from train.evaluation.embed import embed, embed_all, sha256_of_model
from train.exports.export import export
from train.exports.export_folder import Origin
from train.feed.tokenizer import tokenizer_from_captions
from train.models import ModelConfig, build_model

SHAPE = Shape(width=160, height=96, n_frames=12, first_frame=1, n_stills=3)
BATCH, SENTENCES = 4, 6


def a_model(folder, seed=0):
    model = build_model(ModelConfig(**MICRO_MODEL), seed=seed)
    words = tokenizer_from_captions([Scene().describe(), "a blue bar moves right"], vocab_size=128, seed=0)
    export(model, words, folder, Origin("a test", stride=2))
    return folder


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A model, and a data set of 15 clips in 5 shards of two splits, the last of each shorter than a batch."""
    root = tmp_path_factory.mktemp("embed")
    write_dataset(root / "set", videos=6, clips=2, val_videos=3, shard_size=5, shape=SHAPE)
    a_model(root / "model")
    return root


def started(here, out, **environment):
    words = ["embed", here / "model", here / "set", "--out", out, "--batch", BATCH, "--sentences", SENTENCES]
    command = [sys.executable, "-m", "train.cli", *map(str, words)]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)


def ended(process):
    _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said


def tables(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}


@pytest.fixture(scope="module")
def made(here):
    words = ["embed", here / "model", here / "set", "--out", here / "one", "--batch", BATCH, "--sentences", SENTENCES]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0 and "5 of 5 shards" in done.output, done.output
    return here / "one"


def opened(here, folder):
    manifest, files = read_manifest(str(here / "set")), Files(str(folder))
    return manifest, files, read_head(files)


def test_ranks_share_the_shards_out_and_make_what_is_missing_with_the_same_bytes(here, made):
    manifest, _, head = opened(here, made)
    encoder, files = train.load(here / "model"), Files(str(here / "by-2"))

    def rank(n):
        return embed_all(encoder, manifest, files, head, process=Process(n, 2, torch.device("cpu")))

    assert (rank(1).n_made, rank(0).n_made) == (2, 3)
    assert tables(here / "by-2") == tables(made) and len(tables(made)) == 1 + 5
    (here / "by-2" / table_name(manifest.shards[0])).unlink()
    assert sorted((rank(0).n_made, rank(1).n_made)) == [0, 1]
    assert tables(here / "by-2") == tables(made)


@pytest.mark.long
def test_on_another_kind_of_processor_embeddings_point_the_same_way(here, made):
    ended(started(here, here / "other", ATEN_CPU_CAPABILITY="default"))

    manifest, files, head = opened(here, made)
    for shard in manifest.shards:
        one = read_embedded(files, head, shard)
        other = read_embedded(Files(str(here / "other")), head, shard)
        assert one.rows["key"].equals(other.rows["key"])
        for a, b in ((one.video, other.video), (one.text, other.text)):
            a, b = a.astype(np.float64), b.astype(np.float64)
            assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 1 - 1e-4


def test_a_table_has_every_sample_with_what_the_model_makes_of_it(here, made):
    manifest, files, head = opened(here, made)
    encoder = train.load(here / "model")
    assert (head.model, head.manifest) == (sha256_of_model(encoder), manifest.sha256)
    keys = []
    for shard in manifest.shards:
        table = read_embedded(files, head, shard)
        keys += table.rows["key"].to_pylist()
        captions = pq.read_table(manifest.resolve(shard.rows_url))["caption"].to_pylist()
        assert table.video.shape == table.text.shape == (shard.nsamples, head.width)
        assert table.text.astype(np.float32) == pytest.approx(encoder.embed_text(captions).numpy(), abs=1e-3)
        assert np.linalg.norm(table.video.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-3)
    assert keys == [key for split in ("train", "val") for key in load_index(manifest, split).keys.to_pylist()]


def test_a_match_is_the_probability_of_the_own_sentence_among_others(here, made):
    manifest, files, head = opened(here, made)
    parts = [read_embedded(files, head, shard) for shard in manifest.split("train")]
    rows = [row for part in parts for row in part.rows.to_pylist()]
    captions = [
        text
        for shard in manifest.split("train")
        for text in pq.read_table(manifest.resolve(shard.rows_url))["caption"].to_pylist()
    ]
    video, text = (np.concatenate([getattr(p, name).astype(np.float64) for p in parts]) for name in ("video", "text"))
    likeness = video @ text.T / train.load(here / "model").temperature
    for i, row in enumerate(rows):
        other = sorted({captions[j]: j for j in range(len(rows)) if captions[j] != captions[i]}.values())
        assert len(other) < SENTENCES  # so all are compared
        wanted = likeness[i, i] - np.log(np.exp(likeness[i, [i, *other]]).sum())
        assert row["match"] == pytest.approx(wanted, abs=0.05)
        assert 1 <= row["match_rank"] <= 1 + len(other)


def choice(here, folder, tmp_path, **data):
    tree = a_tree(here / "set/manifest.json", tmp_path / "run", data={"scores": str(folder), **data})
    config = parse_config(TrainConfig, tree, source="test")
    return chosen(load_index(read_manifest(str(here / "set")), "train"), config.data, tmp_path / "index")


def test_scores_choose_what_is_trained_on(here, made, tmp_path):
    manifest, files, head = opened(here, made)
    rows = [row for shard in manifest.split("train") for row in read_embedded(files, head, shard).rows.to_pylist()]
    middle = float(np.median([row["match"] for row in rows]))

    kept = choice(here, made, tmp_path, where=f"match > {middle!r} and duration_ms > 0")
    assert kept.keys.to_pylist() == [row["key"] for row in rows if row["match"] > middle]
    weighted = choice(here, made, tmp_path, sample_weight="1.0 / match_rank")
    assert weighted.weight is None or weighted.weight == pytest.approx([1 / row["match_rank"] for row in rows])


@pytest.fixture
def spoilt(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "spoilt"))


def test_a_missing_table_other_embeddings_and_what_is_no_number_are_refused_by_name(here, spoilt, tmp_path):
    manifest, files, head = opened(here, spoilt)
    first, second, *_ = manifest.split("train")
    where = "match > -100"

    table = pq.read_table(spoilt / table_name(first))
    bad = table.set_column(1, "match", [[float("nan")] * len(table)])
    pq.write_table(bad.cast(table.schema), spoilt / table_name(first))
    with pytest.raises(DamagedFile, match=r"train-00000\.parquet: holds a number that is not finite"):
        choice(here, spoilt, tmp_path, where=where)

    shutil.copy(spoilt / table_name(second), spoilt / table_name(first))
    with pytest.raises(UserError, match=r"train-00000\.parquet: is of another shard"):
        choice(here, spoilt, tmp_path, where=where)

    (spoilt / table_name(first)).unlink()
    with pytest.raises(UserError, match=r"1 tables are missing, the first is train-00000\.parquet"):
        choice(here, spoilt, tmp_path, where=where)
    assert not (tmp_path / "index").exists()

    (spoilt / HEAD).write_text((spoilt / HEAD).read_text().replace(head.manifest, "0" * 64))
    with pytest.raises(UserError, match="embeddings of manifest 000000000000, and"):
        refuse_other_manifest(read_head(files), manifest, files.url)
    (spoilt / HEAD).write_text("[]")
    with pytest.raises(DamagedFile, match=r"head\.json: is no head of embeddings"):
        read_head(files)
    with pytest.raises(UserError, match=r"no head\.json"):
        choice(here, tmp_path, tmp_path, where=where)


def test_a_folder_holds_the_embeddings_of_one_model_and_width(here, spoilt, tmp_path):
    manifest, files, head = opened(here, spoilt)
    other = train.load(a_model(tmp_path / "other", seed=1))
    assert sha256_of_model(other) != head.model
    index = {"train": load_index(manifest, "train")}

    with pytest.raises(UserError, match="holds embeddings of another kind \\(model "):
        embed(other, index, files, replace(head, model=sha256_of_model(other)))
    with pytest.raises(UserError, match="width 32"):
        put_head(files, replace(head, width=64))
