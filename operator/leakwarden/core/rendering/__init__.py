"""The output for people: conditions, Events and status, derived from one evaluation."""
