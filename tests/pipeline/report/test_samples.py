"""The samples that the page shows: harmless links, and no broken pictures."""

from pipeline.report.samples import address_at, shrink


def test_only_web_addresses_become_links() -> None:
    assert address_at("https://www.youtube.com/watch?v=a", 61_500) == "https://www.youtube.com/watch?v=a&t=61"
    assert address_at("javascript:alert(1)", 0) == address_at("file:///etc/passwd", 0) == ""


def test_a_broken_picture_is_left_out() -> None:
    assert shrink(b"not a jpeg") == b""
