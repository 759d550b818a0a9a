"""A table's results in one zip that stands alone, and that whoever gets it can check."""
