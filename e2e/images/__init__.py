"""Container images for the end-to-end tests, written without a container engine or a registry."""
