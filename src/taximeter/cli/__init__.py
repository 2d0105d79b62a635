"""The command line. One module a command; `app` puts them together and turns errors into one line.

Modules import what they need inside their functions when it is heavy, so that `taximeter --help` stays quick.
"""
