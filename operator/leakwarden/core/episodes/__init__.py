"""The life of a LeakReport: opened, acted upon, verified, closed, pruned."""
