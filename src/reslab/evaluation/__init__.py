"""How good predictions are: metrics and their pictures, from probabilities and labels alone."""
