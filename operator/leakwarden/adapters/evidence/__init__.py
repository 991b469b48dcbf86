"""What is taken from a leaking pod before it is acted on: profiles, read, told and kept."""
