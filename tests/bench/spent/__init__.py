"""Phenomena that were held out once, and are examples now."""
