"""One module per command. Each command is a plain function, which imports heavy modules inside."""
