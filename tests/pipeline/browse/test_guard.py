"""Who may ask: by host, origin and token."""

import socket

import pytest

from pipeline.browse.guard import Guard

GUARD = Guard("127.0.0.1", 8000)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "localhost:9123", "127.0.0.1"])
def test_its_own_names_are_answered_at_whatever_port_was_forwarded(host: str) -> None:
    assert GUARD.refusal({"Host": host}) == GUARD.refusal({"Host": host, "Origin": f"http://{host}"}) == ""
    assert GUARD.refusal({"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}) == ""


@pytest.mark.parametrize("host", ["0.0.0.0:8000", "192.168.0.7:8000", f"{socket.gethostname()}:8000", "[fe80::1]:8000"])
def test_bound_everywhere_it_is_answered_by_every_address_and_name_of_the_machine(host: str) -> None:
    guard = Guard("0.0.0.0", 8000)

    assert guard.refusal({"Host": host}) == guard.refusal({"Host": host, "Origin": f"http://{host}"}) == ""
    assert guard.refusal({"Host": "evil.example:8000"})
    assert guard.address.startswith(f"http://{socket.gethostname()}:8000/?token=")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1:"},
        {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8001"},
        {"Host": "127.0.0.1:8000", "Origin": "http://localhost:8000"},
        {"Host": "127.0.0.1:8000.evil.example"},
        {"Host": "127.0.0.1:8000", "Origin": "http://evil.example"},
        {"Host": "127.0.0.1:8000", "Origin": "null"},
        {"Host": "127.0.0.1:8000", "Origin": "https://127.0.0.1:8000"},
        {"Host": "127.0.0.1:8000", "Origin": ""},
        {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_hosts_and_origins_are_refused(headers: dict[str, str]) -> None:
    assert GUARD.refusal(headers)


def test_the_cookie_is_the_token_of_this_port() -> None:
    named, _, rules = GUARD.cookie.partition("; ")
    assert GUARD.knows({"Cookie": f"other=1; {named}"}) and {"HttpOnly", "SameSite=Strict"} <= set(rules.split("; "))
    for other in ("", "hdvila-8000=", "hdvila-8000=x", Guard("127.0.0.1", 8001).cookie.partition(";")[0], "\xff=;;"):
        assert not GUARD.knows({"Cookie": other})
    assert Guard("127.0.0.1", 8000).token != GUARD.token and len(GUARD.token) >= 43


def test_what_changes_something_says_where_it_comes_from() -> None:
    assert GUARD.may_change({"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"})
    assert GUARD.may_change({"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:8000"})
    assert not GUARD.may_change({"Host": "127.0.0.1:8000"})
