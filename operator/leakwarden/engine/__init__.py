"""The tick (tick.py) and what it calls: gather, decide, act, tell. Knows ports only, no client."""
