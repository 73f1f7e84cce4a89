"""Foreign readers that need packages which must not stand beside ours. `make test-long`; they need a registry."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from hdvila_testing.shards import N_FRAMES, NO_CARD, a_data_set
from manifests.shards import read_manifest
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.export import export_clips
from pipeline.engine.store.store import Store
from pipeline.shards.files import read_rows
from tests.conftest import need
from tests.pipeline.media.test_colours import PATCHES, Source, means, members_of, write_film

pytestmark = pytest.mark.long
SCRIPTS = Path(__file__).resolve().parent / "foreign_scripts"

TORCHCODEC = "torchcodec>=0.12,<0.14"
"""Versions that load beside the torch that we are tested with (2.13)."""


CONFIG = ShardsConfig(max_samples=6, split=SplitConfig(val=0.2), card=NO_CARD)


@pytest.fixture(scope="module", params=["as made", "exact"])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A data set as it is made, and what `export --format webdataset` makes of it."""
    store = a_data_set(tmp_path_factory.mktemp("data"), n_videos=8, config=CONFIG)
    return Path(store.root) if request.param == "as made" else exported(store, tmp_path_factory.mktemp("exact"))


def exported(store: Store, folder: Path) -> Path:
    """The data set again, with clips that start at frame 0."""
    export_clips(store, Store(str(folder)))
    return folder


def run(script: str, argument: str, *packages: str, into: Path) -> dict | list:
    """What a script prints, with these packages standing before ours."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(into), *packages]
    subprocess.run(pip, check=True)
    environment = {**os.environ, "PYTHONPATH": str(into)}
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / script), argument], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(folder: Path, *splits: str) -> list[dict]:
    manifest = read_manifest(str(folder))
    entries = [e for e in manifest.shards if e.split in splits]
    return [r for e in entries for r in read_rows(Store(str(folder)), e.url).to_pylist()]


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_old_wids_reader_finds_every_sample_of_a_split_by_number(made: Path, tmp_path: Path, split: str):
    found = run("read_wids.py", str(made / "shards" / split), "webdataset==0.2.111", "braceexpand", into=tmp_path)
    samples = [r for r in rows(made, split) if r["status"] == "success"]
    assert found["n"] == len(samples)
    assert [key.rpartition("/")[2] for key in found["keys"]] == [r["key"] for r in samples]
    first = json.loads(samples[0]["members"])
    assert found["first"] == {f".{extension}": size for extension, (_, size) in first.items()}


def test_open_clip_counts_samples_and_shards_of_a_brace_expression(made: Path, tmp_path: Path):
    entries = read_manifest(str(made)).split("train")
    url = f"{made}/shards/train/{{00000..{len(entries) - 1:05d}}}.tar"
    counted = run("count_open_clip.py", url, "open_clip_torch==3.3.0", "timm", "ftfy", into=tmp_path)
    assert counted == [sum(e.nsamples for e in entries), len(entries)]


def test_video2dataset_finds_the_shards_takes_them_as_done_and_adds_up_our_reasons(made: Path, tmp_path: Path):
    found = run(
        "read_video2dataset.py", str(made / "shards/train"), "video2dataset==1.3.0", "braceexpand", into=tmp_path
    )
    n_shards = len(read_manifest(str(made)).split("train"))
    assert found["shards"] == [f"{i:05d}" for i in range(n_shards)] and found["done"] == list(range(n_shards))
    reasons = [r["reason"] or r["status"] for r in rows(made, "train")]
    assert found["reasons"] == {name: reasons.count(name) for name in set(reasons)}


@pytest.mark.programs
def test_torchcodec_sees_the_sentences_frames_alone_in_exact_clips(tmp_path: Path):
    made = exported(a_data_set(tmp_path / "made", n_videos=2, n_clips=2, config=CONFIG), tmp_path / "exact")
    films = tmp_path / "films"
    films.mkdir()
    for tar in made.glob("shards/*/*.tar"):
        subprocess.run(["tar", "-xf", str(tar), "-C", str(films), "--wildcards", "*.mp4"], check=True)
    found = run("read_torchcodec.py", str(films), TORCHCODEC, into=tmp_path / "packages")
    assert isinstance(found, dict)
    need("error" not in found, f"FFmpeg libraries that torchcodec loads ({found.get('error', '')[:80]})")
    assert len(found) == 4 and {film["frames"] for film in found.values()} == {N_FRAMES}


@pytest.mark.programs
def test_torchcodec_sees_every_frame_in_the_colours_of_the_source(tmp_path: Path):
    """The clip within 2 levels of the colours that the film was drawn in; the proxy as near as other readers find it
    (test_colours), and its still within 2 levels of it."""
    source = Source("bt709")
    members = members_of(write_film(tmp_path / "film.mp4", source, 640, 360), tmp_path / "scratch", source)
    films = tmp_path / "films"
    films.mkdir()
    for name in ("mp4", "m4v"):
        (films / f"clip.{name}").write_bytes(members[name])
    found = run("read_torchcodec.py", str(films), TORCHCODEC, into=tmp_path / "packages")
    assert isinstance(found, dict)
    need("error" not in found, f"FFmpeg libraries that torchcodec loads ({found.get('error', '')[:80]})")

    facts, truth = json.loads(members["json"]), np.array(PATCHES, float)
    clip, proxy = (np.array(found[f"clip.{name}"]["patches"]) for name in ("mp4", "m4v"))
    assert np.abs(clip - truth).max() <= 2
    assert np.abs(proxy - truth).mean() <= 1.5
    assert found["clip.m4v"]["frames"] == -(-facts["n_frames"] // facts["proxy_step"])
    assert found["clip.mp4"]["frames"] >= facts["first_frame"] + facts["n_frames"]
    still = json.loads(facts["stills"])[0]
    with av.open(io.BytesIO(members["mjpg"][still["offset"] :][: still["size"]])) as picture:
        colours = means(next(picture.decode(video=0)).to_ndarray(format="rgb24"), 0)
    assert np.abs(colours.mean(0) - proxy.mean(0)).max() <= 2
