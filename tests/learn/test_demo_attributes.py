"""What train/starts/demo.yaml says that the demo's sentences name is what its pictures show, in the views it says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from bench.learning.read_hatching import CONFIG, DEMO, probe
from bench.loader_clips import MEDIA, _samples_in
from hdvila_testing.drawn_set import Sample, write_manifest, write_shard
from hdvila_testing.rows import a_clip_row, a_video_row
from manifests.settings import load_config
from miniyoutube.demo import demo_catalogue
from miniyoutube.drawing import frames_of_scene
from miniyoutube.media_cache import _QP
from miniyoutube.script import FPS, TEXTURES, Scene, as_written, shots_of
from pipeline.media.stage import packed
from pipeline.media.video import make_video
from train.commands.init import STARTS
from train.config import TrainConfig
from train.evaluation.attributes import values_of

WIDTH, HEIGHT = 1280, 720
N_FILMS, SCENES_A_FILM, N_FRAMES = 12, 8, 8


def shown(scene: Scene) -> dict[str, str]:
    return {"background": scene.background, "texture": scene.texture, "colour": scene.colour}


def test_every_attribute_is_read_out_of_every_sentence_of_the_demo():
    patterns = load_config(TrainConfig, STARTS["demo"]).eval.attributes
    scripts = [video.script for video in demo_catalogue().videos if video.script.language == "en"]
    described = [shot for script in scripts for shot in shots_of(script) if shot.words]
    assert len(described) > 400 and patterns.keys() == shown(described[0].scene).keys()

    captions = [as_written(shot.words) for shot in described]
    for name, pattern in patterns.items():
        assert values_of(captions, pattern) == [shown(shot.scene)[name] for shot in described], name


@pytest.fixture(scope="module")
def short_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of the demo for a second each, encoded as the site's films are and cut by the pipeline; the manifest."""
    out = tmp_path_factory.mktemp("textures")
    # A scene that goes on for two sentences, or that a re-upload repeats, would be told by its very pixels.
    every = dict.fromkeys(shot.scene for video in demo_catalogue().videos for shot in shots_of(video.script))
    scenes = random.Random(0).sample(list(every), N_FILMS * SCENES_A_FILM)
    films = [scenes[n::N_FILMS] for n in range(N_FILMS)]
    samples = [sample for n, film in enumerate(films) for sample in cut(film, f"film{n}", out)]
    parts = (("train", samples[SCENES_A_FILM:]), ("val", samples[:SCENES_A_FILM]))
    return write_manifest(out, [write_shard(out / f"shards/{s}/00000.tar", part, s, out) for s, part in parts])


def cut(scenes: list[Scene], name: str, out: Path) -> Iterator[Sample]:
    film, clip_ms = out / f"{name}.mp4", N_FRAMES * 1000 // FPS
    draw(film, scenes)
    words = ["welcome to the channel", *(f"a {scene.texture} {scene.background} wall" for scene in scenes[1:])]
    clips = [a_clip_row(name, n, n * clip_ms, (n + 1) * clip_ms, text=text) for n, text in enumerate(words)]
    row = a_video_row(name)
    members = out / name
    members.mkdir()
    for pack in packed(row, make_video(film, row, clips, MEDIA, members), out / f"{name}.tar").files.values():
        yield from _samples_in(pack)


def draw(path: Path, scenes: list[Scene]) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        options = {"preset": "ultrafast", "qp": str(_QP), "threads": "1", "x264-params": "scenecut=0"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for scene in scenes:
            for canvas in frames_of_scene(scene, range(N_FRAMES), WIDTH, HEIGHT):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="yuv420p")))
        container.mux(stream.encode(None))


@pytest.mark.long
def test_a_texture_is_read_off_the_high_view_and_off_the_low_one_by_chance_alone(short_clips: Path) -> None:
    found, n_clips = probe(short_clips, load_config(TrainConfig, CONFIG, [f"data.manifest={short_clips}"]), DEMO)

    assert n_clips == N_FILMS * (SCENES_A_FILM - 1), "a sentence that names no texture says nothing of it"
    assert found["high: template matching"] > 0.97
    chance = 1 / len(TEXTURES)
    noise = (chance * (1 - chance) / n_clips) ** 0.5
    for name in ("template matching", "linear probe of pixels", "linear probe of the spectrum"):
        assert found[f"low: {name}"] < chance + 3 * noise, found
