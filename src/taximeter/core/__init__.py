"""The nouns: what an event, a usage, an amount of money and an attribution are. Standard library only.

Everything here is a value or a pure function: no clock, no chance, no file, no socket.
"""
