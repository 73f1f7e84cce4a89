"""The words of real caption files stay what they are from version to version.

A data set that is gone on with must not hold two readings of one kind of captions. Where a change is meant, raise the
number `made_by` of stage `transcripts`, and write the list anew:

    python -m tests.pipeline.text.captions.test_same_words > tests/pipeline/text/captions/same_words.json
"""

import hashlib
import json
from dataclasses import astuple
from pathlib import Path

from pipeline.text.captions import BrokenTrack, read_track
from tests.conftest import samples_folder

LIST = Path(__file__).with_name("same_words.json")


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def words_of(folder: Path) -> dict[str, list[str]]:
    """Of each file: its words with their times, its events, and what kind of track it is."""
    found = {}
    files = [path for path in (folder / "captions").rglob("*") if path.suffix not in (".tsv", ".txt", ".json")]
    for file in sorted(path for path in files if path.is_file()):
        name = str(file.relative_to(folder / "captions"))
        try:
            track = read_track(file.read_bytes())
        except BrokenTrack as error:
            found[name] = [str(error)]
            continue
        facts = (track.format, track.kind, track.language, track.punctuated, track.word_timed, track.false_times)
        parts = ([astuple(word) for word in track.words], [astuple(event) for event in track.events], facts)
        found[name] = [digest(part) for part in parts]
    return found


def test_real_captions_are_read_as_before(samples: Path) -> None:
    before = json.loads(LIST.read_text())

    assert {name: found for name, found in words_of(samples).items() if name in before} == before


if __name__ == "__main__":
    print(json.dumps(words_of(samples_folder()), indent=0))
