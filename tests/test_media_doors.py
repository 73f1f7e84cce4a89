"""Media opens through one door: nothing else in the pipeline reads a file of whatever kind it may be.

A file from the net may hold anything. `media.probe.open_media` holds it to known containers and protocols; buffers are
opened as one format; programs that read files are started in two modules. Names are followed through imports and their
aliases, so that another spelling is not another door.
"""

import ast
from collections.abc import Iterator

from tests.test_structure import REPO, pipeline_modules

AV_OPEN = {f"av.{path}open" for path in ("", "container.", "container.core.")}
READERS = (
    *("cv2.VideoCapture", "cv2.imread", "cv2.imreadmulti", "cv2.imreadanimation", "cv2.samples"),
    *("scenedetect.open_video", "scenedetect.detect", "scenedetect.VideoStreamCv2", "scenedetect.VideoCaptureAdapter"),
    *("scenedetect.backends", "scenedetect.VideoStreamAv", "torchvision.io", "scipy.io.wavfile", "numpy.fromfile"),
    *("wave", "sunau", "aifc", "soundfile", "audioread", "librosa", "torchaudio", "pydub", "moviepy", "imageio"),
    *("decord", "torchcodec", "skvideo", "vidgear", "mutagen"),
)
"""What reads media, and finds out by itself of which kind it is."""
PROGRAMS = ("subprocess", "os.system", "os.popen", "os.exec", "os.spawn", "os.posix_spawn", "pty.spawn")
PROGRAMS_OF_ASYNCIO = {f"asyncio.{name}" for name in ("create_subprocess_exec", "create_subprocess_shell")}
BY_NAME = {"getattr", "__import__", "importlib.import_module"}


def aliases_of(tree: ast.AST) -> dict[str, str]:
    """What a module calls something -> the dotted name that it was imported by."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else
                      alias.name.partition(".")[0] for alias in node.names}  # fmt: skip
    return found


def origin_of(node: ast.AST, aliases: dict[str, str]) -> str:
    """The dotted name that an expression stands for, by the imports of its module; "" where it is none."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id if node.id in BY_NAME else "")
    if isinstance(node, ast.Attribute):
        before = origin_of(node.value, aliases)
        return f"{before}.{node.attr}" if before else ""
    return ""


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def holds_to_one_kind(call: ast.Call | None) -> bool:
    """Whether a call of av.open writes, or names the one format that it reads."""
    if call is None:
        return False
    formats = [keyword.value for keyword in call.keywords if keyword.arg == "format"]
    writes = len(call.args) > 1 and ast.unparse(call.args[1]) == "'w'"
    return writes or any(not (isinstance(value, ast.Constant) and not value.value) for value in formats)


def doors(source: str) -> Iterator[str]:
    """Each place of a module that may read a media file of any kind, or start a program that does."""
    tree = ast.parse(source)
    aliases = aliases_of(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for name in sorted(set(aliases.values())):
        if is_within(name, READERS) or name in ("av.*", "av.container.*", "cv2.*", "PIL.Image.*"):
            yield name
    for node in ast.walk(tree):
        name = origin_of(node, aliases)
        if name in AV_OPEN and not holds_to_one_kind(calls.get(id(node))):
            yield name
        if name == "PIL.Image.open":
            call = calls.get(id(node))
            if call is None or not any(keyword.arg == "formats" for keyword in call.keywords):
                yield name
        if name and is_within(name, READERS) and isinstance(node, ast.Attribute):
            yield name
        if id(node) in calls and (name.startswith(PROGRAMS) or name in PROGRAMS_OF_ASYNCIO):
            yield "program"
        if name in BY_NAME and (call := calls.get(id(node))) is not None and _names_media(call, aliases):
            yield f"{name} of media"


def _names_media(call: ast.Call, aliases: dict[str, str]) -> bool:
    """Whether a module or a member of one is taken by a text: getattr(av, "open"), import_module("wave")."""
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    of = [f"{origin_of(call.args[0], aliases)}."] if call.args and origin_of(call.args[0], aliases) else [""]
    names = [prefix + text for prefix in of for text in texts]
    return any(name in AV_OPEN | {"av", "av.container", "PIL.Image.open"} or is_within(name, READERS) for name in names)


def test_media_opens_through_one_door() -> None:
    found = {
        (str(path.relative_to(REPO / "pipeline")), door)
        for path in pipeline_modules()
        for door in doors(path.read_text())
    }

    programs = ("media/ffmpeg.py", "report/charts.py", "run/doctor.py", "run/planned_beside.py")
    assert found == {("media/probe.py", "av.open"), *((name, "program") for name in programs)}


def test_ffmpeg_reads_what_was_probed_and_what_the_fetch_merges_by_known_containers_alone() -> None:
    users: dict[str, set[str]] = {}
    for path in pipeline_modules():
        for name in aliases_of(ast.parse(path.read_text())).values():
            if name == "ffmpeg" or name.startswith("pipeline.media.ffmpeg."):
                users.setdefault(name.rpartition(".")[2], set()).add(str(path.relative_to(REPO / "pipeline")))

    assert users == {
        "ffmpeg": {"media/convert.py", "media/ffmpeg.py"},
        "input_options": {"media/convert.py"},
        "run_ffmpeg": {"media/convert.py"},
        "find_ffmpeg": {"run/before.py", "run/doctor.py", "site/fetch.py"},
    }
    assert "**input_options(" in (REPO / "pipeline/media/convert.py").read_text()
