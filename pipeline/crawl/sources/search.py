"""The search source: search words plus the site's own filter."""

from urllib.parse import quote, urlencode

SEARCH_FILTER = "EgQQASgB"
"""The site's `sp` value for videos with subtitles."""


def url_of(words: str) -> str:
    """The address of a search for videos with subtitles."""
    query = {"search_query": words, "sp": SEARCH_FILTER}
    return f"https://www.youtube.com/results?{urlencode(query, quote_via=quote)}"
