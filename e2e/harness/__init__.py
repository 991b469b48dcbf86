"""What the end-to-end tests and the demo share: a cluster with images, a stack and the operator, and ways to ask it."""
