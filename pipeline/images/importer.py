"""Makes a data set of captions and pictures: shards of `KEY.jpg KEY.txt KEY.json`, and a manifest of `kind: image`.

The same files, seed and settings give the same bytes. A picture that cannot be used is rejected with a reason (missing,
broken, too small, too large, without captions, a second copy) and is in the rows as a failed picture. Nothing is lost
silently: `pictures = kept + rejected`.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import cast

from manifests.errors import UserError
from manifests.hashing import hash_name
from manifests.image_sample import ANSWERS_NAME, IMAGE_KIND, ImageJson, QuestionJson
from manifests.lock import RunLock
from manifests.reasons import Reason
from manifests.rows import ShardRow
from manifests.sample import is_video_id, sample_key
from manifests.shards import Manifest, ShardEntry
from pipeline.config.shards import CardConfig
from pipeline.engine.store.store import Store
from pipeline.images.annotations import Captioned, Format, read_annotations
from pipeline.images.pictures import Archive, Picture, PictureRejected, make_picture, open_archive
from pipeline.images.questions import ANSWER_FLOOR, read_questions
from pipeline.media.packs import Sample, write_pack
from pipeline.media.versions import tool_versions
from pipeline.shards.files import FAILED, SUCCESS, Piece, join_shard, put_shard
from pipeline.shards.manifest import publish, refuse_existing

THREADS = 4
PACK_NAME = "pack.tar"


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How captions become shards. The same settings and files give the same bytes."""

    kind: Format | None = None
    """The captions' format; None: detected from their content."""
    split: str = ""
    """The split for all pictures; "": divided by `val_share`."""
    val_share: float = 0.05
    """Share of pictures, 0 to 1, held out as `val` by a seeded hash of their ids."""
    seed: int = 0
    max_side: int = 0
    """Larger pictures are scaled down so that their longer side has this many pixels; 0: never."""
    shard_samples: int = 1000
    name: str = "images"
    licence: str = ""
    """Licence of pictures whose source names none."""
    answer_floor: int = ANSWER_FLOOR
    """How often an answer of VQA has to be the most common to become a class."""


@dataclass(slots=True)
class Imported:
    """The result of an import. `manifest` is that of the new data set."""

    manifest: Manifest
    n_pictures: int
    n_captions: int
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A picture that is to be made. `source`: the name of its annotation file. `group`: what its key begins with; lists
    may give one id to different pictures, and those of later lists have another group.
    """

    split: str
    source: str
    group: str
    picture: Captioned


@dataclass(frozen=True, slots=True)
class _Made:
    """A picture that was tried: its row, and its sample, if any."""

    row: ShardRow
    sample: Sample | None
    n_captions: int = 0


def import_images(captions: Sequence[Path], pictures: Path, out: Store, settings: ImportSettings) -> Imported:
    """Makes the data set. Raises UserError for unreadable files, an `out` in use, or if no picture is usable."""
    refuse_existing(out)
    archive = open_archive(pictures)
    questions = read_questions(captions, settings.kind, answer_floor=settings.answer_floor)
    if questions is None:
        files = [(path, *read_annotations(path, settings.kind)) for path in captions]
    else:
        askings, answers = questions
        files = [(captions[0], "vqa", askings)]
    planned = _planned(files, settings)
    with RunLock(out):
        imported = _write(planned, archive, out, settings)
        if questions is not None and imported.n_pictures:
            out.write(ANSWERS_NAME, (json.dumps(answers, indent=0) + "\n").encode())
        if not imported.n_pictures:
            reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(imported.rejected.items()))
            raise UserError(f"{pictures}: not one of {len(planned)} pictures can be used ({reasons}); check the folder")
    return imported


def _planned(files: Sequence[tuple[Path, Format, list[Captioned]]], settings: ImportSettings) -> list[_Planned]:
    """All pictures, train first; within a split in the order of a seeded hash."""
    first: dict[str, int] = {}
    planned = []
    for number, (path, _, pictures) in enumerate(files):
        for picture in pictures:
            is_first = first.setdefault(picture.image_id, number) == number
            group = _group_of(picture.image_id if is_first else f"{number}/{picture.image_id}")
            planned.append(_Planned(_split_of(picture, settings), path.name, group, picture))

    def order(entry: _Planned) -> tuple[str, int]:
        question = entry.picture.question
        number = f"/{question.number}" if question else ""
        return entry.split, hash_name(settings.seed, "image-order", f"{entry.source}/{entry.picture.image_id}{number}")

    return sorted(planned, key=order)


def _group_of(image_id: str) -> str:
    """What keys begin with: the id itself where it can be part of a file's name."""
    return image_id if is_video_id(image_id) else hashlib.blake2b(image_id.encode(), digest_size=12).hexdigest()


def _split_of(picture: Captioned, settings: ImportSettings) -> str:
    if settings.split:
        return settings.split
    drawn = hash_name(settings.seed, "image-split", picture.image_id) / 2**64
    return "val" if drawn < settings.val_share else "train"


def _write(planned: Sequence[_Planned], archive: Archive, out: Store, settings: ImportSettings) -> Imported:
    entries: list[ShardEntry] = []
    rejected: Counter[str] = Counter()
    n_captions = 0
    seen: dict[str, str] = {}
    for split in dict.fromkeys(one.split for one in planned):
        own = iter([one for one in planned if one.split == split])
        number = 0
        while chunk := list(islice(own, settings.shard_samples)):
            made = [_without_copies(piece, seen) for piece in _make_all(chunk, archive, settings)]
            rejected.update(piece.row["reason"] for piece in made if piece.sample is None)
            n_captions += sum(piece.n_captions for piece in made if piece.sample is not None)
            entries.append(_put(made, out, url=f"shards/{split}/{number:05d}.tar", split=split))
            number += 1
    head = {
        "name": settings.name,
        "kind": IMAGE_KIND,
        "config": {"images.seed": settings.seed, "images.val_share": settings.val_share},
        "versions": tool_versions(),
        "rejected": dict(sorted(rejected.items())),
    }
    n_pictures = sum(entry.nsamples for entry in entries)
    card = CardConfig(title="Pictures with captions", description=_description(n_pictures, n_captions))
    if not n_pictures:
        return Imported(Manifest(out.url, ()), 0, 0, rejected)
    return Imported(publish(out, entries, head, card), n_pictures, n_captions, rejected)


def _description(n_pictures: int, n_captions: int) -> str:
    return f"{n_pictures} pictures with {n_captions} captions."


def _make_all(chunk: Sequence[_Planned], archive: Archive, settings: ImportSettings) -> Iterator[_Made]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(lambda planned: _make(planned, archive, settings), chunk)


def _make(planned: _Planned, archive: Archive, settings: ImportSettings) -> _Made:
    captioned, group = planned.picture, planned.group
    question = captioned.question
    key = sample_key(group, question.number if question else 0)
    try:
        if not captioned.captions:
            raise PictureRejected(Reason.NO_CAPTION_OF_IMAGE, "no caption")
        picture = make_picture(archive.read(captioned.file_name), max_side=settings.max_side)
    except PictureRejected as rejected:
        return _Made(_row(key, group, captioned, None, rejected), None)
    facts = ImageJson(
        key=key,
        url=captioned.url,
        caption=captioned.captions[0],
        width=picture.width,
        height=picture.height,
        original_width=picture.original_width,
        original_height=picture.original_height,
        sha256=picture.sha256,
        image_id=captioned.image_id,
        file_name=captioned.file_name,
        captions=list(captioned.captions),
        source=planned.source,
        licence=captioned.licence or settings.licence,
        group=group,
    )
    document = facts.model_dump() | _question_fields(captioned)
    text = json.dumps(document, ensure_ascii=False).encode()
    members = {"jpg": picture.jpeg, "txt": captioned.captions[0].encode(), "json": text}
    return _Made(_row(key, group, captioned, picture, None), Sample(key, members), len(captioned.captions))


def _question_fields(captioned: Captioned) -> dict[str, object]:
    """The fields of `QuestionJson` beyond those of every picture; {} if there is no question."""
    question = captioned.question
    if question is None:
        return {}
    fields: dict[str, object] = {
        "question_id": question.question_id,
        "answers": [answer for answer, _ in question.answers],
        "answer_scores": [score for _, score in question.answers],
    }
    assert fields.keys() == QuestionJson.model_fields.keys() - ImageJson.model_fields.keys()
    return fields


def _row(
    key: str, group: str, captioned: Captioned, picture: Picture | None, rejected: PictureRejected | None
) -> ShardRow:
    """Makes a row of manifests.schema.SHARD_ROWS; clips' fields are empty. `caption` has all captions, one per line."""
    return cast(
        ShardRow,
        {
            "key": key,
            "url": captioned.url,
            "caption": "\n".join(captioned.captions),
            "clips": "[]",
            "status": FAILED if rejected else SUCCESS,
            "error_message": f"{captioned.file_name}: {rejected}" if rejected else "",
            "reason": rejected.reason.value if rejected else "",
            "clip_id": captioned.image_id,
            "video_id": group,
            "channel_id": "",
            "category_id": 0,
            "start_ms": 0,
            "end_ms": 0,
            "duration_ms": 0,
            "width": picture.width if picture else 0,
            "height": picture.height if picture else 0,
            "fps": 0.0,
            "codec": "jpeg" if picture else "",
            "members": "{}",
        },
    )


def _without_copies(made: _Made, seen: dict[str, str]) -> _Made:
    """Rejects a second copy of the same picture file or key; but not pictures with questions, which come repeatedly."""
    if made.sample is None:
        return made
    document = json.loads(bytes(made.sample.members["json"]))
    if "question_id" in document:
        return made
    first = seen.get(document["sha256"]) or (made.row["key"] if made.row["key"] in seen else "")
    if first:
        row = made.row.copy()
        row["status"], row["reason"] = FAILED, Reason.DUPLICATE_IMAGE.value
        row["error_message"] = f"{document['file_name']}: a copy of {first}"
        return _Made(row, None)
    seen[document["sha256"]] = seen[made.row["key"]] = made.row["key"]
    return made


def _put(made: Sequence[_Made], out: Store, *, url: str, split: str) -> ShardEntry:
    """Writes one shard, with the rows of rejected pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        packed = {p.key: p for p in write_pack(folder / PACK_NAME, [piece.sample for piece in made if piece.sample])}
        here = Store(str(folder))
        pieces = [
            Piece(piece.row, here, PACK_NAME, packed[piece.row["key"]]) if piece.sample else Piece(piece.row)
            for piece in made
        ]
        done = folder / "done"
        done.mkdir()
        entry = join_shard(pieces, done, url=url, split=split, generation=0)
        put_shard(out, done, url)
    return entry
