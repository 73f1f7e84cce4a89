"""Makes the pictures of docs/browsing.md: `python -m bench.screenshots [DIR]` of a data set, by default out/demo.

Chromium has to be on the PATH.
"""

from __future__ import annotations

import shutil
import sys
import threading
from contextlib import closing
from pathlib import Path

from playwright.sync_api import sync_playwright

from pipeline.browse.marks import Marks
from pipeline.browse.rows import Rows
from pipeline.browse.server import Browser, Server
from pipeline.outdir.identity import open_directory

DOCS = Path(__file__).resolve().parent.parent / "docs"
VIEWS = {
    "browse-clips.jpg": "/clips?q=category%3AMusic",
    "browse-clip.jpg": "/clip?q=status%3Akept+category%3AMusic&at=0",
}


def main() -> None:
    """Serves the data set and takes the pictures."""
    store = open_directory(sys.argv[1] if len(sys.argv) > 1 else "out/demo")
    browser = Browser(store, rows := Rows(store), Marks(Path("/nonexistent/marks.jsonl")))
    with closing(rows), Server(browser, "127.0.0.1", 0) as server, sync_playwright() as player:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        window = player.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = window.new_page(viewport={"width": 1000, "height": 700})
        page.goto(server.guard.address)
        for name, view in VIEWS.items():
            page.goto(server.guard.origin + view, wait_until="networkidle")
            page.screenshot(path=DOCS / name, type="jpeg", quality=70)
            print(DOCS / name)
        window.close()
        server.shutdown()


if __name__ == "__main__":
    main()
