"""From an identity's settings to yt-dlp's options, and what cannot be built is found before a run."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from pydantic import Secret, SecretStr

from manifests.errors import UserError
from manifests.reasons import Reason
from manifests.settings import parse_config
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.config.ydl_opts import TRUST
from pipeline.engine.work.unit import StopRun
from pipeline.site.kept_sessions import check_identities
from pipeline.site.options import OWN_ARGS, impersonation, options_for


def test_the_wanted_client_and_harmless_options_pass_through() -> None:
    args = {"youtube": {"lang": ["en"], "player_client": ["tv"]}, "youtubetab": {"skip": ["webpage"]}}
    config = CrawlConfig(ydl_opts=Secret({"extractor_args": args, "ratelimit": 5, "retries": 9}))
    options = options_for(config, config.pool()[0])
    assert options["extractor_args"]["youtube"]["player_client"] == ["tv"]
    assert options["extractor_args"]["youtube"]["lang"] == ["en"]
    assert options["extractor_args"]["youtubetab"] == {"skip": ["webpage"]}
    assert (options["ratelimit"], options["retries"]) == (5, 9)
    assert options_for(config, config.pool()[0], ("web",))["extractor_args"]["youtube"]["player_client"] == ["web"]


def test_an_identity_has_options_of_its_own_over_those_of_all() -> None:
    own = {"source_address": "192.0.2.7", "http_headers": {"X-B": "2"}, "impersonate": "Chrome-131"}
    tokens = {"youtube": {"po_token": ["web.gvs+TOKEN"]}, "youtubetab": {"skip": ["webpage"]}}
    who = IdentityConfig(name="one", ydl_opts=Secret({**own, "extractor_args": tokens}))
    of_all = {"impersonate": "safari", "http_headers": {"X-A": "1"}, "extractor_args": {"youtube": {"lang": ["en"]}}}
    config = CrawlConfig(identities=(who, IdentityConfig(name="two")), ydl_opts=Secret(of_all))
    one, two = (options_for(config, identity) for identity in config.pool())
    assert one["source_address"] == "192.0.2.7" and "source_address" not in two
    assert one["http_headers"] == {"X-A": "1", "X-B": "2"} and two["http_headers"] == {"X-A": "1"}
    assert (one["impersonate"], two["impersonate"]) == (impersonation("chrome-131"), impersonation("safari"))
    assert one["extractor_args"] == {
        "youtube": {**OWN_ARGS["youtube"], "lang": ["en"], "po_token": ["web.gvs+TOKEN"]},
        "youtubetab": {"skip": ["webpage"]},
    }
    assert two["extractor_args"] == {"youtube": {**OWN_ARGS["youtube"], "lang": ["en"]}}
    assert impersonation(one["impersonate"]) is one["impersonate"], "yt-dlp's own object, where it is trusted"
    assert "TOKEN" not in repr(config) + config.model_dump_json() + str(config.model_dump())


@pytest.mark.parametrize("content", [None, "", "no cookies here", "\x00\x01"])
def test_a_file_that_is_no_cookie_file_stops_the_run(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "cookies.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StopRun) as error:
        options_for(CrawlConfig(), IdentityConfig(name="one", cookies=path))
    assert error.value.reason is Reason.BAD_COOKIES
    assert str(path) in error.value.detail


@pytest.mark.skipif(importlib.util.find_spec("curl_cffi") is not None, reason="curl_cffi is installed")
def test_a_browser_that_cannot_be_imitated_here_is_said_before_the_run_with_the_cure() -> None:
    who = IdentityConfig(name="office", ydl_opts=Secret({"impersonate": "chrome"}))
    with pytest.raises(UserError, match=r"identity office: .*hdvila\[impersonate\]"):
        check_identities(CrawlConfig(identities=(who,)))


def test_an_unknown_browser_is_named() -> None:
    with pytest.raises(UserError, match="not a browser"):
        options_for(CrawlConfig(ydl_opts=Secret({"impersonate": "a:b:c:d"})), IdentityConfig(name="one"))


def test_an_option_that_yt_dlp_does_not_have_is_refused_also_where_it_is_trusted() -> None:
    tree: dict[str, Any] = {"ydl_opts": {"usenetrk": True}}
    config = parse_config(CrawlConfig, tree, source="test", context={TRUST: True})
    with pytest.raises(UserError, match=r"identity default: yt-dlp .* has no option usenetrk"):
        check_identities(config)


def test_ordinary_identities_can_be_built() -> None:
    check_identities(CrawlConfig(identities=(IdentityConfig(name="one", cookies=Path("/only/on/the/workers.txt")),)))


def test_yt_dlp_tries_again_less_often_than_by_itself_and_asks_as_its_own_clients() -> None:
    options = options_for(CrawlConfig(), CrawlConfig().pool()[0])

    assert options["socket_timeout"] > 0
    assert max(options[name] for name in ("retries", "extractor_retries", "fragment_retries")) < 10
    assert (options["writesubtitles"], options["updatetime"], options["ignoreerrors"]) == (True, False, False)
    assert not options.keys() & {"proxy", "cookiefile", "source_address", "http_headers", "impersonate"}
    youtube = options["extractor_args"]["youtube"]
    assert youtube == {
        "player_client": ["default"],
        "skip": ["translated_subs"],
        "raise_incomplete_data": ["1"],
    }


def test_an_identity_has_a_proxy_and_cookies(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# a comment\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tPREF\tx\n")
    options = options_for(CrawlConfig(), IdentityConfig(name="one", proxy=SecretStr("http://p:1"), cookies=cookies))
    assert (options["proxy"], options["cookiefile"].read()) == ("http://p:1", cookies.read_text())


@pytest.mark.parametrize("fields", [6, 8])
def test_a_cookie_has_seven_fields(tmp_path: Path, fields: int) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text("\t".join("x" * fields) + "\n")
    with pytest.raises(StopRun, match="holds no cookie"):
        options_for(CrawlConfig(), IdentityConfig(name="one", cookies=path))
