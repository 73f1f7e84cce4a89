"""Addresses of searches: words come back as they were given, for videos with subtitles."""

from urllib.parse import parse_qs, urlsplit

from pipeline.crawl.sources.search import SEARCH_FILTER, url_of


def test_words_come_back_as_they_were() -> None:
    words = "guitar & bass, 100 % ü?"
    query = parse_qs(urlsplit(url_of(words)).query)
    assert query == {"search_query": [words], "sp": [SEARCH_FILTER]}
