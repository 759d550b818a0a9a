"""How what reslab shows looks: Okabe & Ito's colours, distinct also to the colour-blind; pages."""

from pathlib import Path

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, ORANGE, GREEN, PURPLE = COLORS[:4]

STYLE_SHEET = Path(__file__).with_name("style.css")  # of all pages
