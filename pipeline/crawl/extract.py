"""The extract stage: gets a video's metadata and its caption files in one go, since caption addresses expire.

With a key of the Data API, a batch is looked up there first (`first_look`): what it decides is not asked of the site.

In:  this round's candidates.   Out: rows of `videos` and `captions`; every other candidate is a reject with its reason.

No media is fetched here: first it must be known which clips a video would give. A refusal that is about the identity
that asks and not about the video is never charged to the video: the identity is paused and another asks.
"""

import json
import time
from dataclasses import dataclass, field, replace
from functools import partial

from yt_dlp.networking.exceptions import HTTPError, RequestError

from manifests.categories import category_by_name
from manifests.reasons import Reason, ReasonClass
from manifests.rows import CandidateRow, CaptionRow, TranscriptRow, VideoRow
from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig
from pipeline.crawl.first_look import first_look
from pipeline.crawl.limits import check_category, check_live, check_video, spoken_language, text_languages
from pipeline.crawl.plan import RoundPlan
from pipeline.crawl.sources.spans import has_texts
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import per_item, plain
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Unit, content_name
from pipeline.outdir.tombstones import Tombstones, is_pseudonym
from pipeline.site.asking import Asking, NobodyMayAsk, Rules, Turn
from pipeline.site.canary import UNBELIEVED
from pipeline.site.failures import Failure, Pause, classify
from pipeline.site.formats import Choice, judge_formats, short_sides
from pipeline.site.fresh_looks import FreshLook
from pipeline.site.kept_sessions import site_for
from pipeline.site.own_hosts import ForeignAddress
from pipeline.site.politeness import Polite
from pipeline.site.tracks import MAX_CAPTION_BYTES, CaptionTrack, choose_tracks, list_tracks
from pipeline.site.transfers import VIDEO_TRIES
from pipeline.site.ytdlp import (
    WATCH_URL,
    YT_DLP_VERSION,
    Info,
    RecordingYoutubeDL,
    Session,
    extract_video,
    read_caption,
    upload_date_of,
)
from pipeline.text.transcripts import given_transcript_row

CAPTION_TRIES = 2
WITHOUT_MANUAL = "without_manual_captions"
"""Flag of a video whose text is the automatic track's, because the manual one did not come."""
MOST_ABOUT, LONGEST_ABOUT = 40, 80
"""Tags and titles of chapters that are kept of a video, and their letters: as many as people write."""
VIDEO_TIME_LIMIT_S = 240.0
"""Of an extraction, by the clock."""


@dataclass(frozen=True, slots=True)
class ExtractStage:
    """One unit per batch of candidates, named by their ids and attempts."""

    config: CrawlConfig
    polite: Polite
    plan: RoundPlan
    opt_outs: Tombstones = field(default_factory=Tombstones)
    cut: CutConfig = field(default_factory=CutConfig)
    recognises: bool = False
    """Whether a video without captions stays: it gets some later."""
    name: str = "extract"

    @property
    def resources(self) -> Resources:
        """A unit mostly waits; it may last a whole patience plus the time its identities' hourly budgets take."""
        pool = self.config.pool()
        in_flight = max(4, 2 * len(pool))
        per_video_s = 3600 * in_flight / sum(identity.videos_per_hour for identity in pool) + VIDEO_TIME_LIMIT_S
        limit_s = self.plan.batch * per_video_s + self.config.politeness.patience_s
        return Resources(n_cpus=0.5, memory_bytes=2 * 1024**3, time_limit_s=limit_s, max_in_flight=in_flight)

    def units(self, store: Store) -> list[Unit]:
        """Batches of the round's candidates, in order: small ones, since a kill loses those under way."""
        chosen = store.parts_of("candidates", [self.plan.unit_of_choice]).values()
        rows = [row for part in chosen for row in store.read_part(part).to_pylist() if row["asked"]]
        made_before = self._units_of_removed(store) if any(is_pseudonym(row["video_id"]) for row in rows) else {}
        units = []
        for first in range(0, len(rows), self.plan.batch):
            batch = rows[first : first + self.plan.batch]
            digest = content_name(f"{row['video_id']} {row['attempt']}" for row in batch)
            names = (made_before[row["video_id"]] for row in batch if row["video_id"] in made_before)
            name = next(names, f"{self.plan.round:05d}-{digest}")
            units.append(Unit(name, tuple(batch), tuple(row["video_id"] for row in batch)))
        return units

    def _units_of_removed(self, store: Store) -> dict[str, str]:
        """{pseudonym: the unit of this round that looked at it}: the unit's name was made of the ids."""
        units = [unit for unit in store.committed(self.name) if unit.startswith(f"{self.plan.round:05d}-")]
        parts = (store.parts_of(f"{table}/{self.name}", units) for table in ("videos", "rejects"))
        ids = ((unit, store.read_part(part, ["video_id"])) for some in parts for unit, part in some.items())
        return {i: unit for unit, rows in ids for i in rows["video_id"].to_pylist() if is_pseudonym(i)}

    def process(self, unit: Unit, context: Context) -> Output:
        """Looks at each candidate in turn, but for those that were removed since they were chosen."""
        videos: list[VideoRow] = []
        captions: list[CaptionRow] = []
        transcripts: list[TranscriptRow] = []
        output = Output(rows={"videos": videos, "captions": captions, "transcripts": transcripts})
        extractor = Extractor(self.config, self.polite, self.cut, self.recognises)
        ids = [candidate["video_id"] for candidate in unit.payload]
        left_out = {i: Reject(Reason.OPTED_OUT, i, detail=named) for i in ids if (named := self.opt_outs.named(i, ""))}
        known = self._first_look(unit) | left_out
        for candidate in unit.payload:
            video_id = candidate["video_id"]
            if video_id in known:
                output.rejects.append(known[video_id])
                continue
            outcome = per_item(context, video_id, partial(self._rows_of, candidate, extractor))
            if isinstance(outcome, Reject):
                output.rejects.append(replace(outcome, detail=extractor.safe(outcome.detail)))
                continue
            videos.append(outcome[0])
            captions.extend(outcome[1])
            if not outcome[1] and has_texts(candidate["given_spans"]):
                spans = json.loads(candidate["given_spans"])
                transcripts.append(given_transcript_row(video_id, self.config.lists.caption_language, spans))
        if lying := extractor.unbelieved():
            output.rejects[:] = [self._not_said(r) if r.video_id in lying else r for r in output.rejects]
        return output

    def _not_said(self, reject: Reject) -> Reject:
        """A reject for now in place of a verdict that is not believed."""
        detail = f"{UNBELIEVED}: {reject.reason.value}, {reject.detail}"
        wait_s = self.config.politeness.later_s
        return replace(reject, reason=Reason.UNKNOWN_ANSWER, detail=detail, retry_after_s=wait_s)

    def _first_look(self, unit: Unit) -> dict[str, Reject]:
        """What the Data API decides of the batch; {} if it is not asked."""
        if not self.config.data_api.key:
            return {}
        left = [it for it in unit.payload if not is_pseudonym(it["video_id"])]
        return first_look(left, self.config, self.polite, self.opt_outs, recognises=self.recognises) or {}

    def _rows_of(self, candidate: CandidateRow, extractor: "Extractor") -> tuple[VideoRow, list[CaptionRow]]:
        """The row of `videos` and the rows of `captions` for a candidate. Raises Rejected."""
        video = self._look_at(candidate, extractor)
        if isinstance(video, Reject):
            raise Rejected(video.reason, video.detail, retry_after_s=video.retry_after_s)
        return video_row(video, candidate, self.plan.round), video.captions

    def _look_at(self, candidate: CandidateRow, extractor: "Extractor") -> "FoundVideo | Reject":
        video_id = candidate["video_id"]
        given = has_texts(candidate["given_spans"])
        video = extractor.look_at(video_id, candidate["wanted_category_id"], has_texts=given)
        if isinstance(video, Failure):
            wait_s = video.wait_s or self.config.politeness.later_s * 2 ** (candidate["attempt"] - 1)
            return Reject(video.reason, video_id, detail=extractor.safe(video.detail), retry_after_s=wait_s)
        if named := self.opt_outs.named(video_id, str(video.info.get("channel_id") or "")):
            return Reject(Reason.OPTED_OUT, video_id, detail=named)
        return video


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A wanted video: yt-dlp's info, its caption rows, and the identity that asked."""

    info: Info
    captions: list[CaptionRow]
    identity: str
    made_for_kids: bool
    audio: tuple[str, int]  # what there is to fetch of it: yt-dlp's id and its bytes
    flags: tuple[str, ...] = ()


class Extractor:
    """Extracts videos one after the other, with whichever identity may ask."""

    def __init__(self, config: CrawlConfig, polite: Polite, cut: CutConfig, recognises: bool = False) -> None:
        self._config = config
        self._cut = cut
        self._recognises = recognises
        self._asking = Asking(config, polite)
        self._polite = polite

    def safe(self, text: str) -> str:
        """Removes secrets from a text."""
        return self._asking.safe(text)

    def look_at(self, video_id: str, wanted_category_id: int, *, has_texts: bool = False) -> FoundVideo | Failure:
        """Extracts a video, or says why not. With texts for its clips it needs no captions. Raises StopRun."""
        rules = self._rules(captions=not has_texts)
        attempt = partial(self._attempt, video_id, wanted_category_id, has_texts)
        try:
            return self._asking.ask(video_id, attempt, rules)
        except NobodyMayAsk as all_paused:
            return Failure(Reason.RATE_LIMITED, str(all_paused))

    def unbelieved(self) -> set[str]:
        """The videos looked at since the last call whose verdicts are not to be recorded. Raises StopRun."""
        return self._asking.unbelieved(self._rules())

    def _rules(self, *, captions: bool = False) -> Rules:
        return Rules(VIDEO_TIME_LIMIT_S, VIDEO_TRIES, self._config.politeness.patience_s, captions=captions)

    def _attempt(self, video_id: str, wanted_category_id: int, has_texts: bool, turn: Turn) -> FoundVideo | Failure:
        session = turn.session
        site = site_for(self._config, turn.identity, turn.clients, session)
        info = extract_video(site, video_id)
        choice = self._verdict(info, session, wanted_category_id, has_texts)
        if isinstance(choice, Failure):
            return choice
        captions = [] if has_texts else self._captions(site, info, session)
        if isinstance(captions, Failure):
            return captions
        missing = {track.kind for track in self._tracks(info)} - {row["kind"] for row in captions}
        flags = (WITHOUT_MANUAL,) if captions and "manual" in missing else ()
        self._polite.keep_look(video_id, FreshLook.of(info, choice, turn.identity, turn.clients))
        return FoundVideo(info, captions, turn.identity.name, session.made_for_kids, choice.audio, flags)

    def _verdict(self, info: Info, session: Session, wanted_category_id: int, has_texts: bool) -> Choice | Failure:
        """What to fetch of an extracted video, or why it is rejected; certain reasons are checked before doubtful
        ones.
        """
        if info.get("_type") in ("url", "url_transparent"):
            return Failure(Reason.PAYMENT_REQUIRED, "only a trailer is shown")
        if verdict := check_live(info, self._config.limits):
            until_start_s = max(0.0, float(info.get("release_timestamp") or 0) - time.time())
            return Failure(*verdict, wait_s=until_start_s, at_once=False)
        if not info.get("categories"):
            return self._no_category(session)
        if not info.get("formats"):
            return classify(session.evidence(text="No video formats found!"))
        if verdict := check_category(str(info["categories"][0]), wanted_category_id, self._config):
            return Failure(*verdict)
        if verdict := check_video(info, self._config, made_for_kids=session.made_for_kids):
            return Failure(*verdict)
        if not has_texts and (failure := self._no_captions(info, session)):
            return failure
        return judge_formats(info, session, self._config.media, self._cut, spoken_language(info))

    def _no_category(self, session: Session) -> Failure:
        """Only the watch page names the category: without one, the video is retried, never called a wrong category."""
        failure = classify(session.evidence(text="the watch page named no category"))
        return Failure(Reason.BAD_ANSWER, failure.detail) if failure.reason is Reason.EXTRACTOR_ERROR else failure

    def _no_captions(self, info: Info, session: Session) -> Failure | None:
        if self._tracks(info):
            return None
        if session.captions_locked:
            return Failure(Reason.CAPTIONS_LOCKED, "tracks exist, but need a token")
        if self._recognises:
            return None
        others = list_tracks(info.get("subtitles"), info.get("automatic_captions"))
        return Failure(Reason.NO_CAPTIONS, f"tracks: {', '.join(others)[:200] or 'none'}")

    def _tracks(self, info: Info) -> list[CaptionTrack]:
        wanted = self._config.captions
        return choose_tracks(
            info.get("subtitles"),
            info.get("automatic_captions"),
            languages=text_languages(info, self._config.limits.languages),
            kinds=wanted.kinds,
        )

    def _captions(self, site: RecordingYoutubeDL, info: Info, session: Session) -> list[CaptionRow] | Failure:
        """A row for each track that came with text; if none did, the failure that may be temporary, if any."""
        rows: list[CaptionRow] = []
        failures: list[Failure] = []
        for track in self._tracks(info):
            payload = self._caption(site, track, session)
            if isinstance(payload, Failure):
                failures.append(payload)
                if session.refused:
                    break
                continue
            rows.append(
                {
                    "video_id": str(info["id"]),
                    "kind": track.kind,
                    "language": track.language,
                    "track": track.key,
                    "format": track.format,
                    "payload": payload,
                }
            )
        if rows or not failures:
            return rows
        return min(
            failures, key=lambda f: (f.reason.class_ is not ReasonClass.LATER, f.pause is Pause.NONE, not f.at_once)
        )

    def _caption(self, site: RecordingYoutubeDL, track: CaptionTrack, session: Session) -> bytes | Failure:
        failure = Failure(Reason.CAPTIONS_REFUSED)
        for attempt in range(CAPTION_TRIES):
            session.check_deadline()
            try:
                payload = read_caption(site, track.url, MAX_CAPTION_BYTES)
            except HTTPError as error:
                failure = Failure(Reason.CAPTIONS_REFUSED, f"{error.status} for track {track.key}")
                if error.status == 429:
                    return replace(failure, pause=Pause.CAPTIONS)
                if 400 <= error.status < 500:  # the address is not valid, and nor is one that another look would give
                    return replace(failure, at_once=False)
            except ForeignAddress as error:
                return Failure(Reason.BAD_ANSWER, f"track {track.key}: {error}")
            except RequestError as error:
                failure = Failure(Reason.CAPTIONS_REFUSED, f"{type(error).__name__} for track {track.key}")
            else:
                verdict = check_payload(payload, track.format)
                if verdict is None:
                    return payload
                pause = Pause.CAPTIONS if verdict is Reason.CAPTIONS_REFUSED else Pause.NONE
                failure = Failure(verdict, f"track {track.key}, {len(payload)} bytes", pause)
            if attempt + 1 < CAPTION_TRIES:
                time.sleep(self._config.retry_wait_s)
        return failure


def check_payload(payload: bytes, format_: str) -> Reason | None:
    """Why a body cannot be a caption file, None if it can: the site, or a network, answers 200 with something else."""
    if not payload:  # withheld from this client: even a track without words is a document
        return Reason.CAPTIONS_LOCKED
    if len(payload) > MAX_CAPTION_BYTES:
        return Reason.BROKEN_CAPTIONS
    text = payload[:4096].decode("utf-8-sig", errors="replace").strip()
    if not text:
        return Reason.EMPTY_CAPTIONS
    if not text.startswith(BEGINNINGS[format_]) or text.casefold().startswith(("<!doctype html", "<html")):
        return Reason.CAPTIONS_REFUSED
    return _check_json3(payload) if format_ == "json3" else None


BEGINNINGS = {"json3": "{", "vtt": "WEBVTT"}
"""How a caption file begins: what begins otherwise is somebody's page or message."""


def _check_json3(payload: bytes) -> Reason | None:
    try:
        document = json.loads(payload)
        events = document.get("events") or []
    except (ValueError, AttributeError, RecursionError):
        return Reason.BROKEN_CAPTIONS
    if not events and "error" in document:
        return Reason.CAPTIONS_REFUSED
    if not isinstance(events, list):
        return Reason.BROKEN_CAPTIONS
    words = (
        seg.get("utf8", "")
        for e in events
        if isinstance(e, dict)
        for seg in (e["segs"] if isinstance(e.get("segs"), list) else ())
        if isinstance(seg, dict)
    )
    return None if any(str(word).strip() for word in words) else Reason.EMPTY_CAPTIONS


def video_row(video: FoundVideo, candidate: CandidateRow, round_: int) -> VideoRow:
    """A row of `videos`."""
    info = video.info
    category = category_by_name(str(info["categories"][0]))
    views = info.get("view_count")
    has_text = video.captions or has_texts(candidate["given_spans"])
    return {
        "video_id": candidate["video_id"],
        "url": WATCH_URL.format(candidate["video_id"]),
        "source": candidate["source"],
        "query": candidate["query"],
        "category_id": category.id if category else -1,
        "category": category.name if category else "",
        "title": str(info.get("title") or ""),
        "channel_id": str(info.get("channel_id") or ""),
        "channel": str(info.get("channel") or ""),
        "duration_s": float(info.get("duration") or 0.0),
        "language": spoken_language(info),
        "upload_date": upload_date_of(info),
        "license": str(info.get("license") or ""),
        "view_count": int(views) if views is not None else -1,
        "age_limit": int(info.get("age_limit") or 0),
        "made_for_kids": video.made_for_kids,
        "heights": short_sides(info.get("formats") or ()),
        "caption_tracks": list_tracks(info.get("subtitles"), info.get("automatic_captions")) if has_text else [],
        "audio_format": video.audio[0],
        "audio_bytes": video.audio[1],
        "media_path": "",
        "media_bytes": -1,
        "media_hash": "",
        "media_stamp": "",
        "given_spans": candidate["given_spans"],
        "egress": video.identity,
        "yt_dlp_version": YT_DLP_VERSION,
        "round": round_,
        "flags": json.dumps(video.flags),
        "extra": "",
        "about": _about(info),
    }


def _about(info: Info) -> list[str]:
    """A video's tags and the titles of its chapters, as far as they are short texts."""
    chapters = info.get("chapters") or ()
    texts = [*(info.get("tags") or ()), *(one.get("title") for one in chapters if isinstance(one, dict))]
    short = (plain(text.strip()) for text in texts if isinstance(text, str) and len(text) <= LONGEST_ABOUT)
    return list(dict.fromkeys(filter(None, short)))[:MOST_ABOUT]
