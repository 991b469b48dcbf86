"""The bench that measures the detector: labelled series, replayed in time order. `python -m tests.bench`."""
