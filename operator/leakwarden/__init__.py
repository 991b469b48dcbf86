"""Leakwarden: finds leaking Go services on Kubernetes, proves it, and acts within guards."""

__version__ = "0.1.0"
