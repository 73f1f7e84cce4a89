"""The executor on Ray: which worker does what, and what the loss of one means."""

OBJECT_STORE_BYTES = 256 * 1024**2
"""Of a local Ray: only paths and small rows pass through it."""
