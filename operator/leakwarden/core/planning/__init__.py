"""Which action next, and in which order."""
