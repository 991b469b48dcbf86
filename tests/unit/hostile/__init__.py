"""Hostile tenants, within the schema, next to a well-behaved one."""
