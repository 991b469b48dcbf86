"""Evidence from a leaking pod before it is acted on: profiles are taken, read, reported and kept."""
