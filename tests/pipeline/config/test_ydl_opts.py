"""A stranger's configuration runs nothing, reads and writes no file, and asks no other host."""

from typing import Any

import pytest
import yt_dlp

from manifests.errors import ConfigError
from manifests.settings import parse_config
from pipeline.config.crawl import CrawlConfig
from pipeline.config.ydl_opts import HARMLESS, TRUST, check_options

DANGEROUS: list[tuple[str, Any]] = [
    ("postprocessors", [{"key": "Exec", "exec_cmd": "touch /tmp/planted"}]),
    ("netrc_cmd", "touch /tmp/planted"),
    ("usenetrc", True),
    ("external_downloader", {"default": "/tmp/planted"}),
    ("external_downloader_args", {"default": ["-x"]}),
    ("enable_file_urls", True),
    ("cookiesfrombrowser", ["chrome"]),
    ("print_to_file", {"video": [["x", "/tmp/planted"]]}),
    ("paths", {"home": "/tmp"}),
    ("remote_components", ["ejs:github"]),
    ("cachedir", "/tmp/planted"),
    ("js_runtimes", {"node": {"path": "/tmp/planted"}}),
    ("extractor_args", {"youtubepot-bgutilhttp": {"base_url": ["http://evil.example/planted"]}}),
    ("client_certificate", "/etc/passwd"),
    ("plugin_dirs", ["/tmp/planted"]),
    ("load_info_filename", "/etc/passwd"),
    ("write_pages", True),
]


def parse(tree: dict[str, Any], *, trusted: bool = False) -> CrawlConfig:
    return parse_config(CrawlConfig, tree, source="test", context={TRUST: trusted})


@pytest.mark.parametrize(("name", "value"), DANGEROUS, ids=[name for name, _ in DANGEROUS])
def test_what_runs_programs_or_touches_files_needs_the_word_of_the_command_line(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="base_url" if name == "extractor_args" else name) as error:
        parse({"ydl_opts": {name: value}})
    assert "planted" not in str(error.value)
    assert parse({"ydl_opts": {name: value}}, trusted=True).ydl_opts.get_secret_value() == {name: value}


def test_every_option_of_yt_dlp_is_harmless_or_refused() -> None:
    known = yt_dlp.parse_options([]).ydl_opts.keys()
    for name in sorted(known - HARMLESS - {"extractor_args"}):
        with pytest.raises(ValueError, match=name):
            check_options({name: "x"}, trusted=False)


def test_no_configuration_can_trust_itself() -> None:
    for tree in ({TRUST: True}, {"ydl_opts": {TRUST: True}}):
        with pytest.raises(ConfigError):
            parse({**tree, "ydl_opts": {"usenetrc": True, **tree.get("ydl_opts", {})}})


def test_harmless_options_pass() -> None:
    given = {"ratelimit": 1e6, "source_address": "0.0.0.0", "http_headers": {"X-A": "b"}, "impersonate": "chrome"}
    assert parse({"ydl_opts": given}).ydl_opts.get_secret_value() == given


def test_an_identitys_options_are_held_to_the_same() -> None:
    identity = {"name": "one", "ydl_opts": {"netrc_cmd": "touch /tmp/planted"}}
    with pytest.raises(ConfigError, match="netrc_cmd"):
        parse({"identities": [identity]})
    assert parse({"identities": [identity]}, trusted=True)


def test_what_the_crawl_sets_itself_is_refused_whoever_asks() -> None:
    for trusted in (False, True):
        with pytest.raises(ConfigError, match="format is set by the crawl itself"):
            parse({"ydl_opts": {"format": "best"}}, trusted=trusted)


def test_certificates_go_unchecked_only_to_a_proxy_on_this_machine() -> None:
    """A stranger's proxy that may show any certificate reads the user's cookies."""
    unchecked = {"nocheckcertificate": True}
    assert parse({"ydl_opts": unchecked, "identities": [{"name": "one", "proxy": "http://127.0.0.1:8080"}]})
    for proxy in ("", "http://proxy.example:8080", "http://127.0.0.1.example:1"):
        with pytest.raises(ConfigError, match="nocheckcertificate"):
            parse({"ydl_opts": unchecked, "identities": [{"name": "one", "proxy": proxy}]})
    assert parse(
        {"ydl_opts": unchecked, "identities": [{"name": "one", "proxy": "http://proxy.example:8080"}]}, trusted=True
    )


@pytest.mark.parametrize(
    "args",
    [
        {"youtube": {"innertube_host": ["evil.example"]}},
        {"youtubepot-bgutilscript": {"script_path": ["/tmp/planted"]}},
        {"generic": {"impersonate": ["chrome"]}},
    ],
)
def test_arguments_that_ask_another_host_or_run_a_script_are_refused(args: dict[str, Any]) -> None:
    ((extractor, given),) = args.items()
    with pytest.raises(ConfigError, match=f"{extractor}.{next(iter(given))} is not an option"):
        parse({"ydl_opts": {"extractor_args": args}})
    assert parse({"ydl_opts": {"extractor_args": args}}, trusted=True)


@pytest.mark.parametrize("args", ["tv", {"youtube": "tv"}])
def test_arguments_of_another_form_are_refused_whoever_asks(args: Any) -> None:
    with pytest.raises(ConfigError, match="extractor_args takes"):
        parse({"ydl_opts": {"extractor_args": args}}, trusted=True)


def test_tokens_in_extractor_args_are_never_shown() -> None:
    config = parse({"ydl_opts": {"extractor_args": {"youtube": {"po_token": ["web.gvs+planted"]}}}})
    assert "planted" not in repr(config) + config.model_dump_json() + str(config.model_dump())
