"""Policies' queries are parsed in a process of their own, which can be ended."""
