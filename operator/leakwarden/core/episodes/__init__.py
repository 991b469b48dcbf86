"""The phases of a LeakReport: opened, acted upon, verified, closed, pruned."""
