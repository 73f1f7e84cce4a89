"""A unit of work: what a stage is, and an attempt at a unit within its limits.

Files: `unit` (what a stage is; `part_units`: units over parts), `attempt` (a try of a unit, in a `scratch` folder,
within `limits`), `boundary` (what an item's failure costs, and what is the machine's fault), `executor` (attempts in
this process, `noted_attempts` in case it dies).
"""
