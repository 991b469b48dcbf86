"""What people read: conditions, Events and status, derived from one evaluation."""
