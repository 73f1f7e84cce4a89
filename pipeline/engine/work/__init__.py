"""One unit of work: what a stage is, and one attempt at a unit within its limits."""
