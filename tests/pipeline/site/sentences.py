"""What the installed yt-dlp can say of a video or list, read from its own sources when a test runs."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yt_dlp

ROOT = Path(yt_dlp.__file__).parent
FILES = ("extractor/youtube/*.py", "extractor/common.py", "downloader/http.py", "downloader/common.py", "YoutubeDL.py")
ERRORS = frozenset({"ExtractorError", "raise_no_formats", "raise_login_required", "report_error"})
WARNINGS = frozenset({"report_warning", "write_debug", "_report_pot_format_skipped"})
MESSAGES = frozenset({"msg", "message"})
GAP = "x"


@dataclass(frozen=True)
class Sentence:
    """A literal sentence, with `x` where yt-dlp puts something in."""

    text: str
    is_error: bool
    where: str


def sentences() -> list[Sentence]:
    """Every sentence in calls that raise or warn, and in variables that are called a message."""
    found = {}
    for pattern in FILES:
        for file in sorted(ROOT.glob(pattern)):
            for sentence in _of_file(file):
                found.setdefault((sentence.text, sentence.is_error), sentence)
    return list(found.values())


def _of_file(file: Path) -> Iterator[Sentence]:
    where = str(file.relative_to(ROOT))
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and (text := _text(node.args[0])):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ERRORS | WARNINGS:
                yield Sentence(text, name in ERRORS, where)
        elif isinstance(node, ast.Assign | ast.AugAssign) and (text := _text(node.value)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id in MESSAGES for target in targets):
                yield Sentence(text, False, where)


def _text(node: ast.expr) -> str:
    """The literal text of an expression; "" where it holds none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values]
        return "".join(parts) if any(isinstance(part, ast.Constant) for part in node.values) else ""
    if isinstance(node, ast.BinOp):
        left, right = _text(node.left), _text(node.right)
        return (left or GAP) + (right or GAP) if left or right else ""
    return ""
