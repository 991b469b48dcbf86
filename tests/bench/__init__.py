"""The bench that the detector is measured on: labelled series, replayed in time order. `python -m tests.bench`."""
