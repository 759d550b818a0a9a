"""A user's pictures: found, checked, decoded, and their true classes."""
