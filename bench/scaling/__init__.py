"""Parts of `bench.scale`: stores of any size, and the measured steps."""
