"""Limits on spending: what is allowed, what is held, what is spent."""
