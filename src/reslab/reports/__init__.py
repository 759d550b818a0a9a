"""What is written about predictions: rows, metrics, pictures, a dashboard."""
