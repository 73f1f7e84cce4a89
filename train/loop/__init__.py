"""The training loop: steps, checkpoints, the folder of a run, and what it reports."""
