"""Reports: answers that are more than a sum. The calculator, and what-if on one's own history.

They ask the price book and the store of events, and know nothing of HTTP or of the command line.
"""
