"""Asking a site, politely: identities and their pace, yt-dlp, and what a failure means.

Files: `asking` (the loop through which everything asks), `politeness` (with `judge`, `canary`, `identities`,
`buckets`, `pauses`, `rates`), `ytdlp` (with `kept_sessions`, `info`), `options`, `data_api` (the official API; with
`api_quota`), `own_hosts`, `failures` (the table of what a failure means), `tracks`, `formats`, `fetch` (with
`fresh_looks`), `transfers` (how patient they are), `optout`, `redact`.
"""
