"""How patient a transfer is, whoever is asked."""

VIDEO_TRIES = 2
"""Attempts at a video before a temporary error defers it: what a second attempt does not heal, an hour may."""
SOCKET_TIMEOUT_S = 20.0
"""A transfer that receives nothing for this long counts as stalled: yt-dlp's own default."""
SPEED_AFTER_S = 30.0
"""Seconds after which a transfer from an address is judged by its mean speed."""
SLOWEST_BYTES_PER_S = 16_384.0
"""A download that is slower for a minute (of the site) or after SPEED_AFTER_S counts as stalled."""
