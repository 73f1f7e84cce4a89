"""The search source: search words plus the site's own filter."""

from urllib.parse import quote, urlencode


def url_of(words: str, search_filter: str) -> str:
    """The address of a search. `search_filter` is the site's `sp` value; "" for none."""
    query = {"search_query": words} | ({"sp": search_filter} if search_filter else {})
    return f"https://www.youtube.com/results?{urlencode(query, quote_via=quote)}"
