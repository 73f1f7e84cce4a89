"""The training loop: steps, checkpoints, the folder of a run, and what it reports.

Files: `fit` reads from top to bottom; `objective` (a step's gradients), `grad_cache`, `run_folder` (lock,
configuration, mark to requeue; `bucket`: of a run whose folder is in one), `pinned` (the manifest of a run),
`optim`, `nonfinite` (steps without finite gradients), `checkpoint` (with `tensor_files`: how torch reads and writes
their files), `scalars` (what a step leaves on the device), `observe`, `profile` (a few steps in detail),
`finished_run` (a run that has ended, opened to be judged).
"""
