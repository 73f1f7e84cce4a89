"""Sentences in other languages: the shipped nets and pauses on captions with marks, which are hidden.

    python -m bench.text_languages TRACKS [--models FOLDER]

TRACKS/LANGUAGE/* are caption files of people who talk (translations flatter pauses: their cues are sentences). A row a
language: mean boundary F1 over tracks with the interval that holds 95 % of the means of tracks redrawn, sentences
found by each, and the true ones. FOLDER/LANGUAGE.npz are nets to judge instead of the shipped ones.
"""

import argparse
from pathlib import Path

import numpy as np

from bench.text import f1, interval
from bench.text_tracks import Spoken, marks_of, unmarked
from pipeline.config.text import SentenceConfig
from pipeline.text.boundary import BoundaryModel, NetModel, PauseModel, shipped_net
from pipeline.text.captions import read_track
from pipeline.text.sentences import sentence_breaks


def spoken_of(path: Path) -> Spoken:
    """The caption file as a track without marks, and where its sentences end."""
    words = list(read_track(path.read_bytes()).words)
    return unmarked(path.name, words, marks_of([word.text for word in words]))


def report_language(language: str, tracks: list[Spoken], nets: dict[str, BoundaryModel]) -> None:
    """Prints a row for each model."""
    true = np.mean([spoken.ends.sum() for spoken in tracks])
    for name, model in nets.items():
        shown = [s.without_gaps() if name.endswith("hidden") else s.track for s in tracks]
        found = [sentence_breaks(track, SentenceConfig(), model) for track in shown]
        values = [f1(ends, spoken.ends) for ends, spoken in zip(found, tracks, strict=True)]
        low, high = interval(values)
        n = np.mean([ends.sum() for ends in found])
        print(
            f"{language:3}{len(tracks):>4} {name:18}{np.mean(values):>7.3f} {low:.2f}-{high:.2f}{n:>7.0f}{true:>7.0f}"
        )


def main() -> None:
    """Parses the command line and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--models", type=Path)
    options = parser.parse_args()
    print(f"{'':8}{'model':18}{'F1':>7} {'':9}{'found':>7}{'true':>7}")
    for folder in sorted(path for path in options.tracks.iterdir() if path.is_dir()):
        file = options.models / f"{folder.name}.npz" if options.models else shipped_net(folder.name)
        nets: dict[str, BoundaryModel] = {"pause": PauseModel(), "English net": NetModel()}
        if file.exists():
            net = NetModel(file)
            nets |= {"net": net, "net, gaps hidden": net}
        report_language(folder.name, [spoken_of(path) for path in sorted(folder.iterdir())], nets)


if __name__ == "__main__":
    main()
