"""A run under way: the loop over stages, its progress, and how it stops.

Files: `driver` (the loop over the stages of several lines), `lines` (what a run does, and who plans it), `stage_run` (a
stage under way: what is tried again, what is given up; `name_set`: what it has taken up, 8 bytes each; `units_so_far`:
what a run knows of all), `merger` (merges beside the run), `drain` (stops without loss), `status_and_control`
(status.json; `status_files` reads it), `spending` (what a run costs), `clock` (the
time that the loop goes by), `memory` (given back when freed), `progress`.
"""
