"""What to ask: sources, rounds of listings and looks, and when to stop.

Files: `sources/` (of the site, lists, folder, urls; `registry` says how each lists, looks and fetches), `plan`
and `ledger` (of rounds), `rounds` (with `round_files`: what is recorded), `words` (with `phrases`) and `grown`
(searches grown from kept videos, and their record), `listing` and `first_look`,
`extract`, `limits`.
"""
