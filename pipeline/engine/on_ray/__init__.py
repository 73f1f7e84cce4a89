"""The executor on Ray: which worker does what, and what the loss of a worker means.

Files: `cluster` (the executor, with `remote`: what a worker does, and objects that all workers call; `machines`: which
may get units), `ray_session` (starts or joins Ray), `running_attempts` (which are under way, and where), `waiting`
(what is fetched and waits on a disk), `metrics` (for Prometheus).
"""

OBJECT_STORE_BYTES = 256 * 1024**2
"""Of a local Ray: only paths and small rows pass through it."""
