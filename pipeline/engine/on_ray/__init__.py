"""The executor on Ray: which worker does what, and what the loss of one means."""
