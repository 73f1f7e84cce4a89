"""One module per command: it parses arguments, makes one call and prints the result."""
