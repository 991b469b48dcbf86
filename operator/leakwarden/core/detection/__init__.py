"""Is it a leak? From readings to a verdict, for many series at once."""
