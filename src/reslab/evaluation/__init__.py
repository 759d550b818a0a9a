"""How good predictions are: metrics and their pictures, from probabilities and labels alone."""

ECE_BINS = 15  # of the expected calibration error
