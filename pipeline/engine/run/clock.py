"""The clock that the driver goes by, which tests set. Workers, locks and outages always use the machine's own."""

import time

now = time.monotonic
"""Seconds since an arbitrary start."""
sleep = time.sleep
