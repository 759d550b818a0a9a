"""Networks as files for other runtimes: written, proved, read again."""
