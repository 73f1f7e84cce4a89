"""A run under way: the loop over stages, its lock, its progress, and how it stops."""
