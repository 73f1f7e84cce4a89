"""No text keeps a secret, and ordinary words stay."""

import pytest
from pydantic import Secret, SecretStr

from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.site.redact import redact, secrets_of


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://r1.googlevideo.com/videoplayback?expire=1&sig=abc failed", "sig=abc"),
        ("GET /videoplayback?expire=1&sig=abc failed", "sig=abc"),
        ("www.youtube.com/api/timedtext?v=x&signature=abc", "signature=abc"),
        ("proxy http://user:pass@10.0.0.1:8080 refused", "pass"),
        ("proxy socks5://user:p%40ss@host:1 refused", "p%40ss"),
        ("cannot reach user:hunter2@10.0.0.1:8080", "hunter2"),
        ("Cookie: SID=abcdef; HSID=xyz", "abcdef"),
        ("sent SID=abcdef; __Secure-1PSID=xyz123", "xyz123"),
        (".youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\tplanted", "planted"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("the token is tok-12345 here", "tok-12345"),
    ],
)
def test_no_text_keeps_a_secret(text: str, secret: str) -> None:
    assert secret not in redact(text, ["tok-12345"])


@pytest.mark.parametrize(
    "text",
    [
        "What? he said",
        "cookies.txt: holds no cookie; export the cookies again",
        "cookie: the file is empty",
        "is it a.mp4? no",
        "chrome is not available, see the default client and 0.0.0.0",
        "at 10:30 from someone@example.org",
    ],
)
def test_text_without_secrets_is_left_as_it_is(text: str) -> None:
    who = IdentityConfig(name="one", proxy=SecretStr("http://u:is@h:1"))
    options = {"impersonate": "chrome", "source_address": "0.0.0.0", "retries": 3}
    args = {"youtube": {"player_client": ["default"], "lang": ["en"]}}
    config = CrawlConfig(identities=(who,), ydl_opts=Secret({**options, "extractor_args": args}))
    assert redact(text, secrets_of(config)) == text


def test_a_secret_is_hidden_by_itself_and_not_inside_a_word() -> None:
    assert redact("secret1 secret12 xsecret1", ["secret1"]) == "*** secret12 xsecret1"


def test_tokens_of_identities_and_arguments_are_secrets() -> None:
    tokens = {"youtube": {"po_token": ["web.gvs+AbCdEfGh"]}}
    own = Secret({"extractor_args": tokens, "http_headers": {"X-Key": "planted-key"}})
    of_all = Secret({"extractor_args": {"youtube": {"visitor_data": ["CgtVISITOR"]}}})
    config = CrawlConfig(identities=(IdentityConfig(name="one", ydl_opts=own),), ydl_opts=of_all)
    shown = redact("AbCdEfGh and planted-key and CgtVISITOR", secrets_of(config))
    assert shown == "*** and *** and ***"


def test_a_secret_that_begins_with_another_is_hidden_whole_and_short_words_are_none() -> None:
    secrets = ["planted", "planted-key", "sixsix", "fives"]
    assert redact("planted-key and planted; sixsix, fives", secrets) == "*** and ***; ***, fives"
