"""Limits that neither leak nor block falsely.

    window     when a limit's amount is there anew
    rules      which limits a call falls under, and what it claims of each
    bounds     how much a call can come to at most, and how much it usually does
    counters/  spent and held: in memory, in Redis
    guard      admission before a call, settlement after it
    live       spent, held, remaining, burn rate, when it will be used up
    notices    thresholds crossed, each once a window

A call reserves before it is made and settles after it: `spent + held + hold <= limit` is decided atomically for all
limits it falls under. What is held ends in what was really spent; a hold whose owner vanished is counted as spent.
"""
