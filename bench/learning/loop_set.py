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
from pathlib import Path

from bench.learning.attribute_set import films, make_films
from bench.learning.attributes import COLOURS, HATCHINGS, WAYS, Scene, all_scenes
from hdvila_testing.drawn_set import Sample, write_manifest, write_shard
from manifests.shards import ShardEntry, read_manifest

PER_CAPTION, VAL_PER_CAPTION = 11, 32
"""1,056 clips to learn from; 1,024 queries, each among the 32 held-out sentences."""
SEED = 0


def is_held_out(scene: Scene) -> bool:
    """Whether val alone shows this combination: one way of four for each pair of colour and hatching."""
    at = [list(names).index(name) for names, name in _values(scene)]
    return sum(at) % len(WAYS) == 0


def _values(scene: Scene) -> list[tuple[Mapping[str, object], str]]:
    return [(COLOURS, scene.colour), (HATCHINGS, scene.hatching), (WAYS, scene.way)]


def make_clean(out: Path, val_per_caption: int = VAL_PER_CAPTION) -> None:
    """Draws the set in which all captions are right; goes on with what is there."""
    scenes = all_scenes()
    shown = [scene for scene in scenes if not is_held_out(scene)]
    held_out = [scene for scene in scenes if is_held_out(scene)]
    facts = {"per_caption": PER_CAPTION, "val_per_caption": val_per_caption, "seed": SEED}
    val = films("val", held_out, val_per_caption, SEED)
    make_films(out, [*films("train", shown, PER_CAPTION, SEED), *val], facts)


def make_wrong(clean: Path, out: Path, share: float, seed: int, kind: str = "other") -> None:
    """Copies the set with this share of train's captions wrong: exchanged among clips (`other`), or that of the clip
    before or after (`neighbour`). OUT/wrong.json has their keys, OUT/belongs.json the clip that each neighbour's is of.
    """
    manifest = read_manifest(str(clean))
    captions = {
        sample.key: sample.members["txt"] for shard in manifest.split("train") for sample in samples_in(clean, shard)
    }
    belongs = neighbours(captions, share, seed) if kind == "neighbour" else {}
    wrong = {key: captions[other] for key, other in belongs.items()} or exchanged(captions, share, seed)
    entries = []
    for shard in manifest.shards:
        samples = [_with_caption(sample, wrong.get(sample.key)) for sample in samples_in(clean, shard)]
        entries.append(write_shard(out / shard.url, samples, shard.split, out))
    (out / "wrong.json").write_text(json.dumps(sorted(wrong)))
    (out / "belongs.json").write_text(json.dumps(belongs))
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


def neighbours(captions: Mapping[str, bytes], share: float, seed: int) -> dict[str, str]:
    """{key: the clip before or after it, of another caption} for this share of the clips."""
    dice = random.Random(f"{seed}/neighbours")
    belongs = {}
    for key in dice.sample(sorted(captions), round(share * len(captions))):
        video, _, n = key.rpartition("_")
        beside = [f"{video}_{int(n) + step:05d}" for step in (-1, 1)]
        if possible := [other for other in beside if captions.get(other, captions[key]) != captions[key]]:
            belongs[key] = dice.choice(possible)
    return belongs


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
