"""Alerts: what a finding or a crossed limit becomes, and who is told.

The heart (`desk`) is one pure function: what the rules observed, and what was before, in; what is told, out. `states`,
`incidents`, `routing`, `silences` and `notify` are its parts, `scenario` plays files of observations through it.
"""
