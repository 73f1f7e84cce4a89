"""What an output directory keeps for its next plans alone, in `alike/`: it can be made again from the tables.

Who takes rows of the tables back, or erases what they hold of a video, deletes it: it holds traces of the same videos.
"""

from pipeline.engine.files import Files

ALIKE = "alike"
"""What clips, videos and texts were compared by (pipeline/balance/alike.py), and what closed shards hold
(pipeline/shards/closed.py)."""


def forget_alike(files: Files, what: str = "") -> None:
    """Deletes what is kept of one comparison, or of all; what says that the rest counts goes first."""
    for name in [what] if what else files.folders(ALIKE):
        files.delete(f"{ALIKE}/{name}/state.json")
        for folder in files.folders(f"{ALIKE}/{name}"):
            delete_folder(files, f"{ALIKE}/{name}/{folder}")


def delete_folder(files: Files, folder: str) -> None:
    """Deletes the files of a folder."""
    for name in files.names(folder):
        files.delete(f"{folder}/{name}")
