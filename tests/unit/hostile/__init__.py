"""Tenants that mean no good, in schema-valid ways, beside one that does everything right."""
