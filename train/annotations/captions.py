"""Caption files of retrieval benchmarks, in the forms in which they are published.

    form         file                                                     a query is
    msrvtt       MSRVTT_JSFUSION_test.csv (1k-A), MSRVTT_data.json        a sentence
    didemo       test_data.json                                           all descriptions of a video, in their order
    lsmdc        LSMDC16_challenge_1000_publictect.csv                    a sentence
    activitynet  val_1.json                                               all sentences of a video
    list         [{"video": …, "caption": … or [… , …]}], also as lines   a text
                 {"clip_id": …, "text": …}

`auto` finds the form from the content. Videos have the names that the files give them, without a suffix.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from train.annotations.files import Content, read_content, read_names, video_name, words_of
from train.annotations.questions import are_choices, are_questions

BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError, csv.Error)
"""What reading an entry of an unexpected shape raises."""
SPLITS = {"training": "train", "validation": "val", "validate": "val", "testing": "test"}
"""Names of splits in published files, beside ours."""


@dataclass(frozen=True, slots=True)
class Query:
    """One text and the video that it was written for."""

    video: str
    text: str
    split: str = ""
    """train, val, test or another name that the file gives; "" where it gives none."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of caption files."""

    looks: str
    """How a file of it is recognised, for the message about a file that is none."""
    fits: Callable[[Content], bool]
    read: Callable[[Any], Iterable[Query]]
    paragraphs: bool = False
    """Whether a query is all of a video's texts, joined."""


def read_queries(
    path: Path, form: str = "auto", *, split: str = "", prefer: Sequence[str] = ("test", "val")
) -> list[Query]:
    """The queries of a caption file, in its order; `queries_of` tells of the arguments."""
    return queries_of(path, read_content(path), form, split=split, prefer=prefer)


def queries_of(
    path: Path, content: Content, form: str = "auto", *, split: str = "", prefer: Sequence[str] = ("test", "val")
) -> list[Query]:
    """The queries of a caption file that has been read, in its order.

    `split` is a split's name in the file, or a file that lists the videos (one a line, or a CSV's column video_id);
    without it, a file that tells splits gives the first of `prefer` that it has.

    UserError says what is wrong, and in which line or key if known.
    """
    chosen = FORMS[_form_of(path, content) if form == "auto" else form]
    try:
        queries = [query for query in chosen.read(content) if query.video and query.text]
    except BROKEN as error:
        name = next(name for name, known in FORMS.items() if known is chosen)
        raise UserError(
            f"{path}: is not a file of form {name} ({type(error).__name__}: {error}); name another with --format"
        ) from None
    if not queries:
        raise UserError(f"{path}: holds no caption; name its form with --format ({', '.join(FORMS)})")
    queries = _of_split(path, queries, split, prefer)
    return _joined(queries) if chosen.paragraphs else queries


def _of_split(path: Path, queries: list[Query], split: str, prefer: Sequence[str]) -> list[Query]:
    """The queries of the split that is asked for. UserError if the file has none such, and says what it has."""
    if split and Path(split).is_file():
        names = read_names(Path(split))
        kept = [query for query in queries if query.video in names]
        if not kept:
            raise UserError(f"{split}: names none of the videos of {path} ({queries[0].video} is one of them)")
        return kept
    there = list(dict.fromkeys(query.split for query in queries if query.split))
    wanted = SPLITS.get(split, split) or next((name for name in prefer if name in there), "")
    if wanted and wanted not in there:
        told = f"its splits are {', '.join(there)}" if there else "tells no splits; name a file that lists the videos"
        raise UserError(f"{path}: has no split {split!r}: {told}")
    return [query for query in queries if query.split == wanted] if wanted else queries


def _joined(queries: Iterable[Query]) -> list[Query]:
    """One query a video: its texts, in order."""
    of_video: dict[str, list[Query]] = {}
    for query in queries:
        of_video.setdefault(query.video, []).append(query)
    return [Query(video, " ".join(q.text for q in all_), all_[0].split) for video, all_ in of_video.items()]


def _form_of(path: Path, content: Content) -> str:
    """The form of a file by its content. UserError if it is none, with what was looked for."""
    if are_questions(content):
        raise UserError(
            f"{path}: holds questions, not captions: it cannot be searched by; to train on it, name it in "
            "data.questions, to score answers in eval.questions (eval --questions)"
        )
    if are_choices(content):
        raise UserError(
            f"{path}: offers several texts a video, of which one is right; to score by it, name it in eval.captions "
            "(eval --captions), to train on choosing in data.questions"
        )
    for name, form in FORMS.items():
        if form.fits(content):
            return name
    looked = "\n".join(f"  {name}: {form.looks}" for name, form in FORMS.items())
    raise UserError(f"{path}: is in none of the forms of caption files:\n{looked}\nname its form with --format")


# ---- what the forms look like ----------------------------------------------------------------------------------------


def _lines(content: Content) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines of a text that are neither empty nor comments; none if it isn't a text."""
    if isinstance(content, str):
        yield from ((n, line) for n, line in enumerate(content.splitlines(), 1) if line.strip() and line[0] != "#")


def _header(content: Content) -> set[str]:
    """The cells of a text's first line, whether commas or tabs part them."""
    _, first = next(_lines(content), (0, ""))
    return {cell.strip() for cell in next(csv.reader([first], delimiter="\t" if "\t" in first else ","), [])}


def _keys(content: Content) -> set[str]:
    """The keys of the first entry of a list, or of an object."""
    if isinstance(content, list):
        return set(content[0]) if content and isinstance(content[0], dict) else set()
    return set(content) if isinstance(content, dict) else set()


def _has(*keys: str) -> Callable[[Content], bool]:
    return lambda content: isinstance(content, list) and set(keys) <= _keys(content)


def _is_msrvtt(content: Content) -> bool:
    if isinstance(content, str):
        return {"video_id", "sentence"} <= _header(content)
    return isinstance(content, dict) and {"videos", "sentences"} <= _keys(content)


def _is_lsmdc(content: Content) -> bool:
    return isinstance(content, str) and content.split("\n", 1)[0].count("\t") >= 5


def _is_activitynet(content: Content) -> bool:
    first = next(iter(content.values()), None) if isinstance(content, dict) else None
    return isinstance(first, dict) and "sentences" in first


def _is_list(content: Content) -> bool:
    keys = _keys(content)
    return isinstance(content, list) and bool(keys & {"video", "clip_id"}) and bool(keys & {"caption", "text"})


# ---- the readers -----------------------------------------------------------------------------------------------------


def _msrvtt(content: str | dict[str, Any]) -> Iterable[Query]:
    if isinstance(content, str):
        for row in csv.DictReader(io.StringIO(content)):
            yield Query(video_name(row["video_id"]), words_of(row["sentence"]))
        return
    split_of = {video_name(v["video_id"]): str(v.get("split", "")) for v in content["videos"]}
    for sentence in content["sentences"]:
        video = video_name(sentence["video_id"])
        split = split_of.get(video, "")
        yield Query(video, words_of(sentence["caption"]), SPLITS.get(split, split))


def _didemo(content: list[Any]) -> Iterable[Query]:
    return (Query(video_name(entry["video"]), words_of(entry["description"])) for entry in content)


def _lsmdc(content: str) -> Iterable[Query]:
    """Tab-separated: clip, four times, the sentence (which may hold tabs in some copies)."""
    for number, line in _lines(content):
        cells = line.split("\t")
        if len(cells) < 6:
            raise ValueError(f"line {number} has {len(cells)} tab-separated fields of 6")
        yield Query(video_name(cells[0]), words_of(" ".join(cells[5:])))


def _activitynet(content: dict[str, Any]) -> Iterable[Query]:
    for video, entry in content.items():
        yield from (Query(video_name(video), words_of(sentence)) for sentence in entry["sentences"])


def _list(content: list[Any]) -> Iterable[Query]:
    for number, entry in enumerate(content, 1):
        try:
            video = entry["video"] if "video" in entry else entry["clip_id"]
            given = entry["caption"] if "caption" in entry else entry["text"]
            texts = [words_of(text) for text in ([given] if isinstance(given, str) else given)]
        except (KeyError, TypeError):
            raise ValueError(f"entry {number} has no video (or clip_id) with a caption (or text)") from None
        yield from (Query(video_name(video), text) for text in texts)


FORMS: Mapping[str, Form] = {
    "msrvtt": Form("a CSV with video_id and sentence, or JSON with videos and sentences", _is_msrvtt, _msrvtt),
    "didemo": Form("a JSON list with video and description", _has("video", "description"), _didemo, paragraphs=True),
    "lsmdc": Form("six columns with tabs between them, and no header", _is_lsmdc, _lsmdc),
    "activitynet": Form("JSON of videos with timestamps and sentences", _is_activitynet, _activitynet, paragraphs=True),
    "list": Form("a JSON list, or JSON lines, with video (or clip_id) and caption (or text)", _is_list, _list),
}
