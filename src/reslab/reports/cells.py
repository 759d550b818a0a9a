"""What is written into tables that a spreadsheet may open."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def safe(text: str) -> str:
    """A cell that no spreadsheet runs; without its first apostrophe it is the text again."""
    return f"'{text}" if text.startswith(FORMULA) else text
