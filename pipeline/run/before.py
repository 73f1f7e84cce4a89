"""What would end a run, looked for before Ray starts: ffmpeg, the folder, room on the disk, and the site.

The site is asked once by each identity, through its own proxy, unless it is paused. Where nobody gets an answer, a
first run ends at once. A run that had answers before meets an outage: it waits as long as it would for its bucket.
"""

import logging
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from yt_dlp.networking.exceptions import RequestError

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.outage import LONGEST_WAIT_S, outlast
from pipeline.config import RunConfig
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.crawl.sources.folder import folder_of, read_mapping
from pipeline.crawl.sources.registry import asks_site
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.engine.run.progress import under_way
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.recogniser import why_deaf
from pipeline.site.fetch import SPARE_BYTES
from pipeline.site.kept_sessions import status_of_site
from pipeline.site.pauses import read_state
from pipeline.site.redact import redact, secrets_of

log = logging.getLogger("hdvila")

TIMEOUT_S = 10.0
"""For the site's first page."""
ASKED_AT_ONCE = 32
"""Identities that ask the site side by side; one whose proxy is dead takes ten seconds or more."""


class NotReady(UserError):
    """The site or this machine is not ready for the run; nothing of the configuration is wrong."""

    exit_code = ExitCode.STOPPED


def refuse_what_is_missing(config: RunConfig, store: Store, stop: StopRequest) -> None:
    """Raises UserError for what a person has to mend, and Drained if `stop` is due while the site is waited for."""
    if "folder" in config.crawl.sources:
        folder_of(config.folder)
        if config.folder.category_from == "mapping":
            read_mapping(config.folder.mapping)
    warn_of_no_recogniser(config)
    asks = asks_site(config)
    if asks:
        find_ffmpeg()
    if not config.engine.ray_address:  # else the workers' machines do the work, and each looks after itself
        scratch = config.engine.scratch or Path(tempfile.gettempdir())
        _refuse_full_disk([*([Path(store.root)] if store.is_local else []), scratch])
        if asks:
            _wait_for_the_site(config, store, stop)


def warn_of_no_recogniser(config: RunConfig) -> None:
    """Says that nothing will be heard, where that can be told here: the run itself goes on without."""
    if config.media.heard.model and not config.engine.ray_address and (why := why_deaf(config.media.heard)):
        log.warning("%s: clips get heard: -1", why)


def _refuse_full_disk(folders: list[Path]) -> None:
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < SPARE_BYTES:
            raise NotReady(
                f"{folder}: {free >> 20} MiB free, at least {SPARE_BYTES >> 20} needed; free some space there, or set "
                "out and engine.scratch to larger disks"
            )


def _wait_for_the_site(config: RunConfig, store: Store, stop: StopRequest) -> None:
    saved = read_state(store).get("identities", [])
    paused = {was["name"] for was in saved if was.get("paused_s", 0.0) > 0}
    asking = [identity for identity in config.crawl.pool() if identity.name not in paused]
    patience_s = config.engine.outage_s if {"list", "extract"} & {*store.stages()} else 0.0
    try:
        with under_way("asking the site for its first page"):
            outlast(partial(_ask, config, asking), where="the site", patience_s=patience_s)
    except ConnectionError as error:
        if patience_s and stop.time_left_s < LONGEST_WAIT_S:
            raise Drained(f"stopped on request while the site did not answer ({error}); run it again") from None
        last = read_run_status(store)
        if last is not None and last.state == "ended" and last.exit_code == ExitCode.OK:
            log.warning("%s; the last run was complete: this one may have nothing to ask", error)
            return
        waited = f" for {patience_s:.0f} s (engine.outage_s)" if patience_s else ""
        raise NotReady(
            f"no_network: no answer at all{waited}: {error}; check the network, DNS and the proxies of "
            "crawl.identities (hdvila-pipeline doctor)"
        ) from None


def _ask(config: RunConfig, asking: list[IdentityConfig]) -> None:
    """Raises ConnectionError if no identity gets any answer; names each that gets none where others do."""
    if not asking:
        return
    with ThreadPoolExecutor(min(ASKED_AT_ONCE, len(asking))) as pool:
        silent = list(pool.map(partial(_no_answer, config.crawl), asking))
    each = [f"identity {identity.name}: {why}" for identity, why in zip(asking, silent, strict=True) if why]
    if len(each) == len(asking):
        raise ConnectionError("; ".join(each))
    for line in each:
        log.warning("%s: the others go on", line)


def _no_answer(config: CrawlConfig, identity: IdentityConfig) -> str:
    """Why an identity gets no answer, whatever its cookies; "" if it gets any: refusals are the run's to judge."""
    try:
        status_of_site(config, identity.model_copy(update={"cookies": None}), TIMEOUT_S)
    except RequestError as error:
        return redact(str(error).splitlines()[0] if str(error) else type(error).__name__, secrets_of(config))
    return ""
