"""Known-answer sets for the closed loop: drawn clips, of whose captions a known share is wrong (`bench.learning.loop`).

Val's sentences are ones that training never saw: a quarter of the combinations of colour, hatching and way is held out,
such that all values and all pairs of values are learned from. Films go through the pipeline's own stages once; wrong
captions are put into copies of the shards, without the mp4, which training does not read.
"""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.learning.attribute_set import MEDIA, Film, films, make_films
from bench.learning.attributes import all_scenes, is_held_out
from hdvila_testing.drawn_set import Sample, write_manifest, write_shard
from manifests.shards import ShardEntry, read_manifest
from pipeline.config.media import CutConfig, MediaConfig, MembersConfig

PER_CAPTION, VAL_PER_CAPTION = 11, 32
"""1,056 clips to learn from; 1,024 queries, each among the 32 held-out sentences."""
SEED = 0

N_SCENES = 9, 12
"""Of a film of the second set, at least and at most: 63 to 84 s at a frame a second."""
SCENE_MS = 7000
KINDS = ("other", "shift 2 s", "shift 5 s", "shift 20 s", "neighbour")
HEIGHT = 180
"""Of both sets: the low view of 180 pixels is that of 720, and takes a quarter of the time to draw and cut."""
LOW_MEDIA = MediaConfig(**{**MEDIA.model_dump(), "cut": CutConfig(min_short_side=0)})
LONG_MEDIA = LOW_MEDIA.model_copy(update={"members": MembersConfig(still_every_s=1.75, still_quality=40)})
"""Of four stills of a clip, one is of its middle frame."""


def make_clean(out: Path, val_per_caption: int = VAL_PER_CAPTION) -> None:
    """Draws the set in which all captions are right; goes on with what is there."""
    scenes = all_scenes()
    shown = [scene for scene in scenes if not is_held_out(scene)]
    held_out = [scene for scene in scenes if is_held_out(scene)]
    facts = {"per_caption": PER_CAPTION, "val_per_caption": val_per_caption, "seed": SEED}
    drawn = [*films("train", shown, PER_CAPTION, SEED), *films("val", held_out, val_per_caption, SEED)]
    make_films(out, [replace(film, height=HEIGHT) for film in drawn], facts, LOW_MEDIA)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence of a film of the second set, and what is the matter with it where it is made wrong."""

    video_id: str
    scene: int
    text: str
    kind: str
    shift_s: int
    """By how much its times are late, if its kind is a shift; below 0: early."""
    n_shifted: int
    """The number of the clip that is cut by its shifted times."""

    @property
    def right(self) -> str:
        """The key of the clip that shows its scene."""
        return f"{self.video_id}_{self.scene:05d}"

    @property
    def shifted(self) -> str:
        """The key of the clip that is cut by its shifted times."""
        return f"{self.video_id}_{self.n_shifted:05d}"


def long_films() -> tuple[list[Film], list[Spoken]]:
    """The films of the second set, and their sentences. For a sentence that may be shifted a film holds two clips."""
    shown = [scene for scene in all_scenes() if not is_held_out(scene)]
    left = [scene for film in films("long", shown, PER_CAPTION, SEED) for scene in film.scenes]
    dice = random.Random(f"{SEED}/long")
    made: list[Film] = []
    spoken: list[Spoken] = []
    while len(left) >= (n := dice.randint(*N_SCENES)):
        scenes, left = left[:n], left[n:]
        film = Film(f"long-{len(made):05d}", "channel-train", tuple(scenes), fps=1, height=HEIGHT)
        clips, own = list(film.sentences), []
        for number, (start_ms, end_ms, text) in enumerate(film.sentences):
            kind = dice.choice(KINDS)
            shift_s = int(kind.split()[1]) * dice.choice((-1, 1)) if kind.startswith("shift") else 0
            if start_ms + 1000 * shift_s < 0 or end_ms + 1000 * shift_s > clips[n - 1][1]:
                shift_s = -shift_s
            own.append(Spoken(film.video_id, number, text, kind, shift_s, len(clips) if shift_s else number))
            if shift_s:
                clips.append((start_ms + 1000 * shift_s, end_ms + 1000 * shift_s, text))
        made.append(replace(film, spoken=tuple(clips)))
        spoken += own
    return made, spoken


def make_long(out: Path) -> None:
    """Draws the films of the second set, with all clips that its copies choose among; goes on with what is there."""
    held_out = [scene for scene in all_scenes() if is_held_out(scene)]
    facts = {"per_caption": PER_CAPTION, "seed": SEED, "long": True}
    make_films(out, [*long_films()[0], *films("val", held_out, 1, SEED)], facts, LONG_MEDIA)


def make_wrong_films(long: Path, clean: Path, out: Path, share: float, seed: int) -> None:
    """Copies the films' clips with this share of sentences wrong, of all KINDS alike, and the first set's val.

    OUT/truth.json has the kind of each wrong clip's sentence and by how much its times were to change, ms; null: none
    of this film fits.
    """
    spoken = long_films()[1]
    dice = random.Random(f"{seed}/films")
    is_wrong = set(dice.sample(range(len(spoken)), round(share * len(spoken))))
    at = {(one.video_id, one.scene): one for one in spoken}
    captions: dict[str, bytes] = {}
    truth: dict[str, tuple[str, int | None]] = {}
    for number, one in enumerate(spoken):
        key, text, offset_ms = one.right, one.text, 0
        if number in is_wrong and one.kind.startswith("shift"):
            key, offset_ms = one.shifted, -1000 * one.shift_s
        elif number in is_wrong and one.kind == "neighbour":
            steps = [step for step in (-1, 1) if (one.video_id, one.scene + step) in at]
            step = dice.choice([s for s in steps if at[one.video_id, one.scene + s].text != text] or steps)
            text, offset_ms = at[one.video_id, one.scene + step].text, step * SCENE_MS
        elif number in is_wrong:
            text = dice.choice(
                [other.text for other in spoken if other.video_id != one.video_id and other.text != text]
            )
        captions[key] = text.encode()
        if number in is_wrong:
            truth[key] = one.kind, None if one.kind == "other" else offset_ms
    entries = []
    for root, split in ((long, "train"), (clean, "val")):
        for shard in read_manifest(str(root)).split(split):
            samples = [_with_caption(one, captions.get(one.key)) for one in samples_in(root, shard)]
            kept = [one for one in samples if split == "val" or one.key in captions]
            entries.append(write_shard(out / shard.url, kept, split, out))
    (out / "truth.json").write_text(json.dumps(truth))
    (out / "wrong.json").write_text(json.dumps(sorted(truth)))
    write_manifest(out, entries)


def make_wrong(clean: Path, out: Path, share: float, seed: int) -> None:
    """Copies the first set with this share of train's captions exchanged among clips; OUT/wrong.json has their keys."""
    manifest = read_manifest(str(clean))
    captions = {
        sample.key: sample.members["txt"] for shard in manifest.split("train") for sample in samples_in(clean, shard)
    }
    wrong = exchanged(captions, share, seed)
    entries = []
    for shard in manifest.shards:
        samples = [_with_caption(sample, wrong.get(sample.key)) for sample in samples_in(clean, shard)]
        entries.append(write_shard(out / shard.url, samples, shard.split, out))
    (out / "wrong.json").write_text(json.dumps(sorted(wrong)))
    write_manifest(out, entries)


def exchanged(captions: Mapping[str, bytes], share: float, seed: int) -> dict[str, bytes]:
    """{key: another clip's caption, with other words} for this share of the clips."""
    dice = random.Random(f"{seed}/wrong")
    keys = dice.sample(sorted(captions), round(share * len(captions)))
    texts = [captions[key] for key in keys]
    for at, key in enumerate(keys):
        while texts[at] == captions[key]:
            other = dice.randrange(len(keys))
            if texts[other] != captions[key] and texts[at] != captions[keys[other]]:
                texts[at], texts[other] = texts[other], texts[at]
    return dict(zip(keys, texts, strict=True))


def samples_in(root: Path, shard: ShardEntry) -> Iterator[Sample]:
    """A shard's samples, without their mp4."""
    members: dict[str, dict[str, bytes]] = {}
    with tarfile.open(root / shard.url) as tar:
        for info in tar:
            key, _, extension = info.name.partition(".")
            file = tar.extractfile(info)
            if extension != "mp4" and file is not None:
                members.setdefault(key, {})[extension] = file.read()
    for key, of_key in members.items():
        yield Sample(key, of_key, json.loads(of_key["json"])["category_id"])


def _with_caption(sample: Sample, caption: bytes | None) -> Sample:
    if caption is None:
        return sample
    document = {**json.loads(sample.members["json"]), "text": caption.decode()}
    return Sample(
        sample.key,
        {**sample.members, "txt": caption, "json": json.dumps(document).encode()},
        sample.category_id,
    )
