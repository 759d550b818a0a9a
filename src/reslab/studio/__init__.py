"""The browser's interface: a page and what it asks; all state is in the runs' directories."""
