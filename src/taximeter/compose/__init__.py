"""The parts of a process, put together: `process` for a server, `offline` for a command without one.

Import the module that is needed: a command that only reports has no use for a gateway, and starts sooner without it.
"""
