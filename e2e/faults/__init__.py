"""Faults around an operator, with a real API server and a real Prometheus.

The operator runs as a process from this tree, under the rights that the chart grants, and reaches both through proxies
that delay, refuse, cut, expire and alter on command. Its Deployments are real; their pods are simulated by kwok on
nodes of their own, so that five hundred of them cost nothing and a test sets their readings.
"""
