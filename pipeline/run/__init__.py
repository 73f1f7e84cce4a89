"""The whole run: the recipe is road.py.

Files: `session` (store, lock, executor), `before` (what would end a run, said before it begins), `lost` (what it would
build upon and is gone), `road` (the recipe: every stage, in order); `planner` (the process in which the recipe of a run
on a cluster runs), `planned_beside` (the driver's side of it), `plan_messages` (between the two); `aims` (of the
crawl's rounds), `batches` (of media: what is planned, and from what), `generations` (of shards), `anew` (films that
changed after they were looked at), `repeats` (what is compared with what), `publish` (the selection, the manifest),
`candidates` (what a plan may know), `known` (what plans keep of the tables for them) with its `candidate_rows`,
`rejects` and `kept_clips`; `time_left` (of the whole run); `constants` (the values in the code that change what comes
out, which run.json keeps); `doctor` (with `site_checks`), `dry_run`.
"""
