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
from pipeline.site.options import impersonation, options_for


def test_the_wanted_client_and_harmless_options_pass_through() -> None:
    args = {"youtube": {"lang": ["en"], "player_client": ["tv"]}, "youtubetab": {"skip": ["webpage"]}}
    config = CrawlConfig(extractor_args=Secret(args), ydl_opts=Secret({"ratelimit": 5, "retries": 9}))
    options = options_for(config, config.pool()[0])
    assert options["extractor_args"]["youtube"]["player_client"] == ["tv"]
    assert options["extractor_args"]["youtube"]["lang"] == ["en"]
    assert options["extractor_args"]["youtubetab"] == {"skip": ["webpage"]}
    assert (options["ratelimit"], options["retries"]) == (5, 9)
    assert options_for(config, config.pool()[0], ("web",))["extractor_args"]["youtube"]["player_client"] == ["web"]


def test_an_identity_carries_its_own_address_headers_and_tokens() -> None:
    who = IdentityConfig(
        name="one",
        source_address="192.0.2.7",
        headers=Secret({"X-B": "2"}),
        po_tokens=(SecretStr("web.gvs+TOKEN"),),
        visitor_data=SecretStr("VISITOR"),
    )
    config = CrawlConfig(identities=(who,), ydl_opts=Secret({"http_headers": {"X-A": "1"}}))
    options = options_for(config, who)
    assert options["source_address"] == "192.0.2.7"
    assert options["http_headers"] == {"X-A": "1", "X-B": "2"}
    assert options["extractor_args"]["youtube"]["po_token"] == ["web.gvs+TOKEN"]
    assert options["extractor_args"]["youtube"]["visitor_data"] == ["VISITOR"]
    assert "TOKEN" not in repr(config) + config.model_dump_json()


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
    who = IdentityConfig(name="office", impersonate="chrome")
    with pytest.raises(UserError, match=r"identity office: .*hdvila\[impersonate\]"):
        check_identities(CrawlConfig(identities=(who,)))


def test_an_unknown_browser_is_named() -> None:
    with pytest.raises(UserError, match="not a browser"):
        options_for(CrawlConfig(), IdentityConfig(name="one", impersonate="a:b:c:d"))


def test_an_option_that_yt_dlp_does_not_have_is_refused_also_where_it_is_trusted() -> None:
    tree: dict[str, Any] = {"ydl_opts": {"usenetrk": True}}
    config = parse_config(CrawlConfig, tree, source="test", context={TRUST: True})
    with pytest.raises(UserError, match=r"no option usenetrk; did you mean usenetrc\?"):
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


def test_an_identity_has_a_proxy_cookies_and_a_browser_to_look_like(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# a comment\n.youtube.com\tTRUE\t/\tTRUE\t4102444800\tPREF\tx\n")
    who = IdentityConfig(name="one", proxy=SecretStr("http://p:1"), cookies=cookies, impersonate="Chrome-131")
    options = options_for(CrawlConfig(ydl_opts=Secret({"impersonate": "safari"})), who)

    assert (options["proxy"], options["cookiefile"].read()) == ("http://p:1", cookies.read_text())
    assert str(options["impersonate"]) == "chrome-131"
    plain = IdentityConfig(name="two")
    assert str(options_for(CrawlConfig(ydl_opts=Secret({"impersonate": "safari"})), plain)["impersonate"]) == "safari"
    assert impersonation(options["impersonate"]) is options["impersonate"], "yt-dlp's own object, where it is trusted"


@pytest.mark.parametrize("fields", [6, 8])
def test_a_cookie_has_seven_fields(tmp_path: Path, fields: int) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text("\t".join("x" * fields) + "\n")
    with pytest.raises(StopRun, match="holds no cookie"):
        options_for(CrawlConfig(), IdentityConfig(name="one", cookies=path))


def test_players_browser_and_the_provider_of_tokens_are_settings_of_the_crawl() -> None:
    who = IdentityConfig(name="one", impersonate="safari")
    settings = {"player_clients": ["default", "mweb"], "impersonate": "chrome", "pot_provider": "http://[::1]:4416"}
    config = CrawlConfig.model_validate({**settings, "identities": [who, {"name": "two"}]})
    own, crawl_s = (options_for(config, identity) for identity in config.pool())
    assert own["extractor_args"]["youtube"]["player_client"] == ["default", "mweb"]
    assert own["extractor_args"]["youtubepot-bgutilhttp"] == {"base_url": ["http://[::1]:4416"]}
    assert (own["impersonate"], crawl_s["impersonate"]) == (impersonation("safari"), impersonation("chrome"))
    plain = options_for(CrawlConfig(), CrawlConfig().pool()[0])
    assert "impersonate" not in plain and list(plain["extractor_args"]) == ["youtube"], "all is off by default"


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        ("http://127.0.0.1:4416", True), ("http://localhost:4416", True), ("http://pot:4416", True),
        ("http://elsewhere.example", False), ("http://127.0.0.1.example", False), ("ftp://127.0.0.1", False),
        ("127.0.0.1:4416", False), ("http://u:p@127.0.0.1", False),
    ],
)  # fmt: skip
def test_a_provider_is_on_this_machine_or_on_a_listed_host(
    address: str, is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HDVILA_POT_HOSTS", "pot, other.example")
    tree = {"pot_provider": address}
    if is_taken:
        assert parse_config(CrawlConfig, tree, source="test").pot_provider == address
        return
    with pytest.raises(UserError, match="pot_provider"):
        parse_config(CrawlConfig, tree, source="test")
    if "elsewhere" in address:
        parse_config(CrawlConfig, tree, source="test", context={TRUST: True})
