"""One module a command; each is a plain function, heavy modules are imported inside it."""
