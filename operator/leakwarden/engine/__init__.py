"""The tick (tick.py) and its steps: gather, decide, act, report. Imports ports only, no client."""
