"""Prometheus as a source of readings, and Alertmanager as the source of silences."""
