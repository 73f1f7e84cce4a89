"""Addresses of searches: words and filter come back as they were given."""

from urllib.parse import parse_qs, urlsplit

from pipeline.crawl.sources.search import url_of


def test_words_and_filter_come_back_as_they_were() -> None:
    words = "guitar & bass, 100 % ü?"
    query = parse_qs(urlsplit(url_of(words, "EgIQAQ==")).query)
    assert query == {"search_query": [words], "sp": ["EgIQAQ=="]}
    assert parse_qs(urlsplit(url_of(words, "")).query) == {"search_query": [words]}
