"""Tables: recipes times seeds, what their runs recorded, and how that is shown."""
