"""Jobs: runs as processes, several at a time."""
