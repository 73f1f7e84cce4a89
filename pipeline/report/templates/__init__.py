"""Pages that the pipeline writes, as Jinja templates; everything put into them is escaped."""
