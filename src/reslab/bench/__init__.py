"""Speed, measured beside plain PyTorch."""
