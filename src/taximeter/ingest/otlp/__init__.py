"""OTLP ingest: GenAI spans and log events of other people's instrumentations become events.

    protobuf, json_form     bytes → `Span`, `LogRecord`        (the only places that know the wire)
    attributes              names of attributes → our fields   (a table; what is not in it is dropped unread)
    emitters, counting      who sent it, and what its counts include
    calls                   a span → a call, an aggregate, or only a place in the tree
    trace_memory            which spans are calls, which repeat what others say: each call once
    one_call                which spans tell of one call: a tree's, and those of two instrumentations side by side
    agents                  log events of coding agents
    held_file, receive      the rim: what is held survives a crash, what is counted goes to the receiver of events

Everything but the rim is a function of its arguments. `docs/otlp.md` is the manual.
"""
