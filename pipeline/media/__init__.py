"""A video's bytes to clips and members, in one decode pass.

Files: `stage` (with `source_files`: those on a disk already), `video` (a video's work), `probe` (with `streams`: what
a file says of its tracks, and `keyframes`), `convert`, `frames` (with `planes`, their bytes), `audio_blocks` and
`decode_pass` (the single decode pass, with `hearing` for its audio, and `repeats` for frames that need no second
look), `speech` and `borders` (which it moves), `recognise` (a stage: what is said, by `recogniser`), `scenes`,
`shots` (their detector), `gradual` and `shot_pictures` (its parts),
`cutting/`, `members/` and `checks/` (a file each), `phash`, `packs`, `row_index` (where a video's rows lie),
`cut_files`, `sample_faults` (what a check of a data set finds); beneath them `ffmpeg` (the program), `colour` and
`resampling`, `work_limit` (of a video) and `stopwatch` (what each step took), `versions` (of the tools), `modules`
(loads those of a folder).
"""
