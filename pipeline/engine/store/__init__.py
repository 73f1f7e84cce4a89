"""The tables of an output directory: which units are committed, and where their rows lie."""
