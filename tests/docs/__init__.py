"""The generated parts of the documentation: `python -m tests.docs`, or `make docs`."""
