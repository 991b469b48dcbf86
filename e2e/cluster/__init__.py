"""A real Kubernetes cluster for the end-to-end tests, behind one interface.

``python3 -m e2e.cluster VERB`` needs nothing but Python 3.11: it runs before any virtual environment exists.
"""
