"""Gathers spoken text with marks for the net of another language, from clones of public repositories.

    python -m bench.foreign_text LANGUAGE CLONES OUT     then
    python -m bench.train_boundary OUT --other --words 12000 --pairs 10000 --width 96 --work WORK --out LANGUAGE.npz

Official minutes, typed by stenographers: fferegrino/mananeras (es: press conferences of Mexico's presidents),
sevenbanisch/bundestagsreden (de: the Bundestag), SoaresAlisson/NotasTaquigraficas (pt: an inquiry of Brazil's Senate);
for French, where none were found, plays and books whose authors died long ago: dracor-org/fredracor and
common-voice/commonvoice-fr, and three days of the European Parliament (mjlaali/europarl). CLONES/mananeras and so on.
"""

import argparse
import csv
import html
import io
import lzma
import re
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("file", "number", "source_repo", "path", "words", "part")
PAUSES_EVERY = 15
"""Every so many episodes are kept for the part of the net that reads pauses."""
MIN_WORDS = 500
_ASIDE = re.compile(r"\([^)]{0,80}\)")
"""(Applause), (Inaudible)."""


class Source(NamedTuple):
    """Where a language's text lies in its repository, and how a file becomes paragraphs of speech."""

    repo: str
    under: str
    paragraphs: Callable[[str], list[str]]


def _articles(text: str) -> list[str]:
    """Text after a header; lines in capitals name who speaks."""
    lines = [re.sub(r"^[^a-z]{4,60}:", "", line) for line in text.partition("---")[2].splitlines()]
    return [_ASIDE.sub("", line) for line in lines if re.search(r"[a-z]{2}", line)]


def _sittings(text: str) -> list[str]:
    """XML: the paragraphs of speeches, without interjections."""
    spoken = re.sub(r"<kommentar>.*?</kommentar>", "", text, flags=re.S)
    found = re.findall(r'<p klasse="(?:J|J_1|O)">(.*?)</p>', spoken, flags=re.S)
    return [html.unescape(re.sub(r"<[^>]+>", " ", part)) for part in found]


def _hearings(text: str) -> list[str]:
    """A table whose last column is what was said."""
    csv.field_size_limit(1 << 24)
    return [_ASIDE.sub("", row[-1]) for row in csv.reader(io.StringIO(text)) if row][1:]


def _plays(text: str) -> list[str]:
    """Prose of authors born after 1790: what is said, without stage directions."""
    born = re.search(r"\((\d{4})-\d{4}\)-->", text)
    if not born or int(born[1]) < 1790 or text.count("<l ") > text.count("<s "):
        return []
    said = re.sub(r"<stage\b.*?</stage>", "", text.partition("<body>")[2], flags=re.S)
    found = re.findall(r"<p\b[^>]*>(.*?)</p>", said, flags=re.S)
    return [html.unescape(re.sub(r"<[^>]+>|_", " ", part)) for part in found]


def _books(text: str) -> list[str]:
    """Paragraphs, without what the publisher adds."""
    body = re.split(r"\*\*\* ?END OF", re.split(r"\*\*\* ?START OF[^*]*\*\*\*", text)[-1])[0]
    return [re.sub(r"[_*]", "", part) for part in re.split(r"\n\s*\n", body) if "." in part]


def _debates(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("<") and len(line.split()) > 2]


SOURCES = {
    "es": (Source("fferegrino/mananeras", "articulos", _articles),),
    "de": (Source("sevenbanisch/bundestagsreden", "parser", _sittings),),
    "pt": (Source("SoaresAlisson/NotasTaquigraficas", "csv", _hearings),),
    "fr": (
        Source("dracor-org/fredracor", "tei", _plays),
        Source("common-voice/commonvoice-fr", "CommonVoice-Data/data/gutenberg", _books),
        Source("mjlaali/europarl", "europarl.uima/resources/sample/fr", _debates),
    ),
}


def files_of(clone: Path, under: str) -> Iterator[tuple[str, str]]:
    """Yields (path, text) of the files in a folder of the newest commit, years and subjects mixed."""
    git = ["git", "-C", str(clone)]
    listed = subprocess.run([*git, "ls-tree", "-rz", "--name-only", "HEAD", under], capture_output=True, check=True)
    for path in sorted(listed.stdout.decode().strip("\0").split("\0"), key=lambda path: zlib.crc32(path.encode())):
        if path.endswith((".txt", ".xml", ".csv")):
            shown = subprocess.run([*git, "show", f"HEAD:{path}"], capture_output=True, check=True)
            yield path, shown.stdout.decode(errors="replace")


def write_pool(source: Source, clones: Path, out: Path, max_words: int) -> list[tuple[object, ...]]:
    """Writes a file of episodes as `bench/boundary_text.py` reads it, and returns its rows of the index."""
    name = source.repo.partition("/")[2]
    clone, name = clones / name, f"{name.lower()}.txt.xz"
    rows: list[tuple[object, ...]] = []
    n_words = 0
    with lzma.open(out / name, "wt", encoding="utf-8") as file:
        for path, text in files_of(clone, source.under):
            paragraphs = [" ".join(part.split()) for part in source.paragraphs(text) if part.strip()]
            words = sum(part.count(" ") + 1 for part in paragraphs)
            if words < MIN_WORDS:
                continue
            file.write("\t".join(paragraphs) + "\n")
            n_words += words
            part = "text" if (len(rows) + 1) % PAUSES_EVERY else "pauses"
            rows.append((name, len(rows) + 1, source.repo, path, words, part))
            if n_words > max_words:
                break
    print(f"{out / name}: {len(rows)} episodes, {n_words} words")
    return rows


def main() -> None:
    """Parses the command line and writes the pool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language", choices=sorted(SOURCES))
    parser.add_argument("clones", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--max-words", type=int, default=3_000_000, help="of each repository")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sources = SOURCES[options.language]
    rows = [row for source in sources for row in write_pool(source, options.clones, options.out, options.max_words)]
    with (options.out / "index.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
