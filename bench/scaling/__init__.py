"""Parts of `bench.scale`: stores of any size, requests counted as they are made, and the measured steps."""
