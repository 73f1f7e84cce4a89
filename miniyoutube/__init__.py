"""The embedded mini-YouTube: drawn videos with captions, served on loopback so that the real yt-dlp crawls them.

catalogue   the site's channels, videos, tracks and playlists              script     what a video says and shows
drawing     the pictures of a script       media_cache  drawn files, kept    speech     its caption files
misbehave   every known way to go wrong    faults       what is done to requests        spoilt     answers that go wrong
request_log who asked what when
innertube   YouTube's JSON shapes          youtube_pages  paths to answers   server     proxy, TLS, HTTP/1.1
data_api    the official API, with keys and units
demo        the demo's few dozen videos, and its settings     big_catalogue  thousands of listed videos for tests
"""
