"""The README.md of an exported model: what it is, how it was made, its scores, and how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from train.models.hd_vila import HDVila

if TYPE_CHECKING:
    from train.exports.export_folder import Origin

USE = """```python
import train

model = train.load("PATH_OF_THIS_FOLDER")
video = model.embed_video("clip.mp4")              # [D], L2 norm 1; also a uint8 array of frames [T, H, W, 3]
text = model.embed_text(["a red car drives off"])  # [1, D]
print(text @ video)
```"""

OFFICIAL_LICENCE = """The weights come from a published HD-VILA checkpoint, whose licence (Microsoft Research,
non-commercial) goes with them: it forbids handing them on. The code that reads them is independent of theirs."""
OWN_LICENCE = """Trained on clips that belong to their makers: see the data set's card for their licences, and ask what
your use allows."""
NO_TOKENIZER = """
This folder holds no tokenizer. The published one is BERT's uncased WordPiece: put its
`vocab.txt` here for `embed_text`.
"""
ABOUT = """# HD-VILA

Video and text in one space: similar meaning, large dot product. An independent implementation of *Advancing
High-Resolution Video-Language Representation with Large-Scale Video Transcriptions* (CVPR 2022).

| | |
|---|---|"""
LIMITS = """## Limits

Speech is a loose description of pictures: what is said is often not seen. English captions only. The model repeats the
leanings of its videos; it is not a tool for recognising or judging people."""


def model_card(model: HDVila, origin: Origin, *, has_tokenizer: bool) -> str:
    """The model card as Markdown, with the front matter that model hubs read."""
    config = model.config
    rate = f"frames at {origin.fps:g}/s" if origin.fps else "source frames"
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = {
        "architecture": f"{config.preset}, stage {config.stage}",
        "parameters": f"{n_parameters / 1e6:.1f} M, fp32",
        "embedding": f"{config.width} numbers, L2 norm 1",
        "video input": f"{config.n_segments} x (1 frame of {_size(config.high)} and {config.n_frames - 1} of "
        f"{_size(config.low)}, {origin.stride} {rate} apart)",
        "text input": f"{config.text_length} WordPiece tokens of {config.vocab_size}",
        "from": origin.source,
        "optimiser steps": f"{origin.step}",
    }
    parts = [
        _front_matter(),
        ABOUT,
        *(f"| {name} | {value} |" for name, value in facts.items()),
        *(f"| initial weights of {part} | {source} |" for part, source in model.weight_sources.items()),
        f"\n## Use\n\n{USE}\n",
        "" if has_tokenizer else NO_TOKENIZER,
        _scores(origin),
        f"## Licence\n\n{OFFICIAL_LICENCE if origin.official else OWN_LICENCE}\n",
        LIMITS,
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _front_matter() -> str:
    lines = ["library_name: hdvila", "pipeline_tag: feature-extraction", "language: en", "license: other"]
    return "\n".join(["---", *lines, "tags: [video-text-retrieval, contrastive, hd-vila]", "---", ""])


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _scores(origin: Origin) -> str:
    if not origin.scores:
        return ""
    rows = []
    for way, name in (("t2v", "text to video"), ("v2t", "video to text")):
        cells = [
            f"{origin.scores[f'{way}_r{k}']:.1%} ({origin.scores.get(f'{way}_chance_r{k}', 0):.1%})"
            for k in (1, 5, 10)
            if f"{way}_r{k}" in origin.scores
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    head = f"## Retrieval on the val split ({origin.scores.get('n_clips', 0):.0f} clips; chance in brackets)\n\n"
    return head + "| | R@1 | R@5 | R@10 |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
