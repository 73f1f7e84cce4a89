"""Reports what this machine lacks for a real crawl, before the crawl, each with a cure."""

import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from http.cookiejar import LoadError
from pathlib import Path
from urllib.parse import urlsplit

from manifests.errors import UserError, storage_errors
from pipeline.config import RunConfig
from pipeline.config.crawl import IdentityConfig
from pipeline.crawl.sources.registry import asks_site
from pipeline.media.recogniser import why_deaf
from pipeline.media.speech import can_hear
from pipeline.run.site_checks import (
    CONNECT_TIMEOUT_S,
    FAIL,
    OK,
    WARN,
    Finding,
    check_canary,
    check_data_api,
    check_site,
    why_of,
)
from pipeline.site.redact import redact

ENCODERS = ("libx264", "aac")
DECODERS = ("h264", "vp9", "av1", "aac", "opus")
OLD_DAYS, TOO_OLD_DAYS = 45, 180
"""Changes of the site break releases of yt-dlp within weeks."""

NEEDED_BYTES = 20 * 1024**3
SPEED_TEST_BYTES = 64 * 1024**2
SLOW_BYTES_PER_S = 50 * 1024**2
LONG_DAYS = 30.0


def examine(config: RunConfig, *, output: bool = True, online: bool = True, canary: str = "") -> Iterator[Finding]:
    """Yields all findings, in the order in which a newcomer would fix them.

    `output`: try to write there. `online`: ask the site. `canary`: a video id to extract as a test.
    """
    yield check_python()
    yield from check_ffmpeg()
    yield from check_speech(config)
    if config.media.heard.model:
        why = why_deaf(config.media.heard)
        yield Finding("recogniser", WARN if why else OK, why or config.media.heard.model)
    try:
        has_site = asks_site(config)
    except UserError as error:
        yield Finding("lists", FAIL, "not all can be read", str(error))
        has_site = True
    if has_site:
        yield check_yt_dlp_age()
        yield check_requests()
        yield check_js_runtime()
        yield check_js_solver()
        yield check_options(config)
        for identity in config.crawl.pool():
            yield check_cookies(identity)
            yield check_proxy(identity)
        yield check_pace(config)
    yield from check_scratch(config.engine.scratch or Path(tempfile.gettempdir()))
    if output:
        yield check_store(config)
        yield check_contact(config)
    yield check_ray(config.engine.ray_address, config.engine.executor)
    yield check_shared_memory()
    if online and has_site:
        yield from (check_site(config, identity) for identity in config.crawl.pool())
        if config.crawl.data_api.key_file:
            yield check_data_api(config)
        if canary or config.crawl.canary:
            video_id = canary or config.crawl.canary
            yield from (check_canary(config, identity, video_id) for identity in config.crawl.pool())


def check_python() -> Finding:
    """Checks the version of the interpreter."""
    version = platform.python_version()
    tried = sys.version_info[:2] in ((3, 11), (3, 12), (3, 13))
    return Finding("python", OK if tried else WARN, version, "" if tried else "tested on 3.11, 3.12 and 3.13")


def check_ffmpeg() -> Iterator[Finding]:
    """Checks for ffmpeg, and for the codecs that merging and exact cuts need."""
    from pipeline.media.ffmpeg import find_ffmpeg

    try:
        program = find_ffmpeg()
    except UserError as error:
        yield Finding("ffmpeg", FAIL, "not found", str(error))
        return
    version = re.search(r"version (\S+)", _output(program, "-version"))
    yield Finding("ffmpeg", OK, f"{version[1] if version else 'unknown version'} at {program}")
    for kind, names in (("encoders", ENCODERS), ("decoders", DECODERS)):
        have = {m[1] for m in re.finditer(r"^ [A-Z.]{6} (\S+)", _output(program, "-hide_banner", f"-{kind}"), re.M)}
        lacking = [name for name in names if not any(known.endswith(name) for known in have)]
        cure = f"install an ffmpeg built with {', '.join(lacking)}" if lacking else ""
        yield Finding(f"ffmpeg {kind}", FAIL if lacking else OK, ", ".join(lacking) or ", ".join(names), cure)


def check_speech(config: RunConfig) -> Iterator[Finding]:
    """Checks for the detector of speech, without which borders stay as planned."""
    if config.media.cut.borders == "silence" and not can_hear():
        yield Finding("speech", WARN, "clips would begin and end inside speech", "pip install webrtcvad-wheels")


def check_yt_dlp_age(today: datetime | None = None) -> Finding:
    """Checks how old yt-dlp is, by its version, which is a date."""
    from pipeline.site.ytdlp import YT_DLP_VERSION

    cure = "pip install -U 'yt-dlp[default,deno]'"
    try:
        made = datetime.strptime(".".join(YT_DLP_VERSION.split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC)
    except ValueError:
        return Finding("yt-dlp", WARN, f"{YT_DLP_VERSION}: not a release", cure)
    days = ((today or datetime.now(UTC)) - made).days
    state = FAIL if days > TOO_OLD_DAYS else WARN if days > OLD_DAYS else OK
    return Finding("yt-dlp", state, f"{YT_DLP_VERSION}, {days} days old", cure if state != OK else "")


def check_requests() -> Finding:
    """Checks for `requests`: without it yt-dlp does not count a broken read as a retry."""
    if importlib.util.find_spec("requests"):
        return Finding("requests", OK, "installed")
    return Finding("requests", FAIL, "not installed: a broken download may be retried forever", "pip install requests")


def check_js_runtime() -> Finding:
    """Checks for a JavaScript runtime that this yt-dlp supports."""
    from yt_dlp import YoutubeDL
    from yt_dlp.globals import supported_js_runtimes

    names = sorted(supported_js_runtimes.value)
    with YoutubeDL({"quiet": True, "js_runtimes": {name: {} for name in names}}) as ydl:
        infos = {name: runtime.info for name, runtime in ydl._js_runtimes.items() if runtime}
    good = [f"{name} {info.version}" for name, info in infos.items() if info and info.supported]
    old = [f"{name} {info.version}" for name, info in infos.items() if info and not info.supported]
    cure = "pip install 'yt-dlp[deno]' brings deno; or --trust-ydl-opts, and ydl_opts: {js_runtimes: {node: {}}}"
    if any(text.startswith("deno") for text in good):
        return Finding("JavaScript runtime", OK, ", ".join(good))
    if good:
        return Finding("JavaScript runtime", WARN, f"{', '.join(good)}, and only deno is used by default", cure)
    problem = f"too old: {', '.join(old)}" if old else "none: many formats will be missing"
    return Finding("JavaScript runtime", FAIL, problem, cure)


def check_js_solver() -> Finding:
    """Checks for the scripts that solve the site's challenges."""
    if importlib.util.find_spec("yt_dlp_ejs"):
        from importlib.metadata import version

        return Finding("challenge solver", OK, f"yt-dlp-ejs {version('yt-dlp-ejs')}")
    return Finding("challenge solver", FAIL, "not installed", "pip install 'yt-dlp[default]'")


def check_cookies(identity: IdentityConfig) -> Finding:
    """Checks that an identity's cookie file can be read and has cookies of the site that have not expired."""
    name = f"cookies of {identity.name}"
    if identity.cookies is None:
        return Finding(name, OK, "none: a guest session")
    from yt_dlp.cookies import YoutubeDLCookieJar

    jar = YoutubeDLCookieJar(str(identity.cookies))
    cure = "export the cookies of a browser that is signed in, in Netscape format"
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (OSError, LoadError, ValueError, UnicodeDecodeError) as error:
        return Finding(name, FAIL, f"{identity.cookies}: cannot be used ({type(error).__name__})", cure)
    own = [cookie for cookie in jar if cookie.domain.endswith("youtube.com")]
    live = [cookie for cookie in own if not cookie.expires or cookie.expires > time.time()]
    if not own:
        return Finding(name, FAIL, f"{identity.cookies}: holds no cookie of youtube.com", cure)
    if not live:
        return Finding(name, FAIL, f"{identity.cookies}: all have expired", cure)
    return Finding(name, OK, f"{len(live)} of youtube.com")


def check_proxy(identity: IdentityConfig) -> Finding:
    """Checks that an identity's proxy accepts connections."""
    name, proxy = f"proxy of {identity.name}", identity.proxy.get_secret_value()
    if not proxy:
        return Finding(name, OK, "none: this machine's own address")
    parts = urlsplit(proxy)
    shown = redact(f"{parts.scheme}://{parts.hostname}:{parts.port or ''}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 1080), timeout=CONNECT_TIMEOUT_S):
            return Finding(name, OK, f"{shown} accepts connections")
    except (OSError, ValueError) as error:
        return Finding(name, FAIL, f"{shown}: {why_of(error)}", "check its address and whether it runs")


def check_options(config: RunConfig) -> Finding:
    """Checks that yt-dlp accepts the options of every identity."""
    from pipeline.site.kept_sessions import check_identities

    try:
        check_identities(config.crawl)
    except UserError as error:
        problem, _, cure = str(error).rpartition("; ")
        return Finding("yt-dlp options", FAIL, problem or cure, cure)
    return Finding("yt-dlp options", OK, f"accepted for {len(config.crawl.pool())} identities")


def check_pace(config: RunConfig) -> Finding:
    """Shows how many videos an hour, which setting limits them, and how many days the total takes."""
    from pipeline.run.dry_run import days_of, pace_in, size_of

    pace, balance = pace_in(config), config.balance
    speed = f"{pace.videos_per_hour:.0f} videos an hour; {pace.binds} binds"
    size = size_of(config)
    if balance.total is None or size is None:
        return Finding("pace", OK, speed)
    days = max(days_of(config, size).values())
    speed += f"; about {days:,.1f} days for {balance.total:,.0f} {balance.unit}"
    cure = "add identities (crawl.identities, crawl.proxy_file), or raise what binds with care"
    return Finding("pace", WARN if days > LONG_DAYS else OK, speed, cure if days > LONG_DAYS else "")


def check_scratch(folder: Path) -> Iterator[Finding]:
    """Checks the space and speed of the scratch folder."""
    cure = "set engine.scratch to a folder on a larger or faster disk"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        speed = _write_speed(folder)
    except OSError as error:
        yield Finding("scratch", FAIL, f"{folder}: {why_of(error)}", cure)
        return
    state = OK if free >= NEEDED_BYTES else WARN
    yield Finding("scratch space", state, f"{free / 1024**3:.1f} GiB free in {folder}", cure if state != OK else "")
    state = OK if speed >= SLOW_BYTES_PER_S else WARN
    yield Finding("scratch speed", state, f"{speed / 1024**2:.0f} MiB/s written", cure if state != OK else "")


def _write_speed(folder: Path) -> float:
    """Bytes a second, written through to the disk."""
    path = folder / f".doctor-{uuid.uuid4().hex}"
    block = os.urandom(1 << 20)
    started = time.monotonic()
    try:
        with path.open("wb") as file:
            for _ in range(SPEED_TEST_BYTES >> 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
    return SPEED_TEST_BYTES / max(1e-6, time.monotonic() - started)


def check_store(config: RunConfig) -> Finding:
    """Checks that the output directory or bucket stores a file, returns it and honours exclusive create."""
    from pipeline.run.session import open_store

    probe = f".doctor-{uuid.uuid4().hex}"
    cure = "check out and engine.storage_options (endpoint_url, key, secret), and the rights to write there"
    refusals: tuple[type[BaseException], ...] = (*storage_errors(), UserError, ValueError, RuntimeError, ImportError)
    try:
        store = open_store(config)
        made = store.create(probe, b"hdvila")
        again = store.create(probe, b"other")
        read = store.read(probe)
        store.delete(probe)
    except refusals as error:
        return Finding("output", FAIL, f"{redact(config.out)}: {why_of(error)}", cure)
    if not made or again or read != b"hdvila":
        return Finding(
            "output", WARN, f"{redact(config.out)}: writes, but without exclusive create", "run one at a time"
        )
    return Finding("output", OK, f"{redact(config.out)} is writable")


def check_contact(config: RunConfig) -> Finding:
    """Checks that the data set's card will say where to ask for removal."""
    card = config.shards.card
    if card.removals:
        return Finding("takedown contact", OK, card.removals)
    cure = "set shards.card.contact to an address that somebody reads"
    return Finding("takedown contact", WARN, "none: the card cannot say where a rights holder asks for removal", cure)


def check_ray(address: str, executor: str) -> Finding:
    """Checks that the Ray cluster can be reached."""
    if executor != "ray":
        return Finding("ray", OK, "not used (engine.executor: local)")
    if not importlib.util.find_spec("ray"):
        return Finding("ray", FAIL, "not installed", "pip install 'hdvila[pipeline]', or engine.executor: local")
    if not address:
        return Finding("ray", OK, "a local one will be started")
    host, _, port = address.removeprefix("ray://").partition(":")
    if address == "auto" or not port.isdigit():
        return Finding("ray", OK, f"{address}: found when the run starts")
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S):
            return Finding("ray", OK, f"{address} accepts connections")
    except OSError as error:
        return Finding("ray", FAIL, f"{address}: {why_of(error)}", "check engine.ray_address and the head node")


def check_shared_memory() -> Finding:
    """Checks the size of /dev/shm, where Ray keeps its object store; containers often have only 64 MiB of it."""
    from pipeline.engine.on_ray import OBJECT_STORE_BYTES

    shm = Path("/dev/shm")
    if not shm.is_dir():
        return Finding("shared memory", OK, "no /dev/shm on this system")
    free = shutil.disk_usage(shm).free
    if free >= OBJECT_STORE_BYTES:
        return Finding("shared memory", OK, f"{free / 1024**2:.0f} MiB free")
    cure = "give the container more (docker run --shm-size=1g)"
    return Finding("shared memory", WARN, f"{free / 1024**2:.0f} MiB free", cure)


def _output(*command: str) -> str:
    try:
        return subprocess.run(list(command), capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
