"""What looks at a network from outside: its summary, its graph, its picture, its folding."""
