"""Shared code of the end-to-end tests and the demo: a cluster with images, a stack and the operator, and queries of
them."""
