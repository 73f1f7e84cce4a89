"""What an output directory keeps only for its next plans, in `alike/`: it can be rebuilt from the tables.

Code that takes back table rows, or erases a video's data in them, must delete it: it holds traces of the same videos.
"""

from manifests.files import Files

ALIKE = "alike"
"""What clips, videos and texts are compared by (pipeline/likeness/index.py), and what closed shards hold
(pipeline/shards/closed.py).
"""


def forget_alike(files: Files) -> None:
    """Deletes all of it. What is compared is told by the first files of it, which go first, whether it is there."""
    for name in files.folders(ALIKE):
        for folder in sorted(files.folders(f"{ALIKE}/{name}")):
            delete_folder(files, f"{ALIKE}/{name}/{folder}")


def delete_folder(files: Files, folder: str) -> None:
    """Deletes the files of a folder."""
    for name in files.names(folder):
        files.delete(f"{folder}/{name}")
