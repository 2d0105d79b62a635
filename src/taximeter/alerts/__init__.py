"""Alerts: what a finding or a crossed limit becomes, and who is told."""
