"""Provider payload or stream → usage. Standard library only, pure.

    flavour = flavour_for("openai", "POST", "/v1/chat/completions")
    facts = flavour.read_request(body)                  # model, stream, size of the prompt
    reading = flavour.read_answer(200, answer)          # a whole answer, or:
    reader = flavour.stream(facts)
    reader.feed(chunk)                                  # bytes cut anywhere, or feed_event(parsed)
    reading = reader.reading()                          # at any time

The provider's dialect ends here: nothing that uses a `Reading` needs to know who answered.

A caller that sees answers on the wire also asks the flavour

    flavour.streams(content_type)                       # feed the body to stream(), or read it whole?
    flavour.read_answer(status, answer, headers)        # where `flavour.read_headers` is not None
    flavour.several, reader.take_items()                # several calls in one answer: an event each
    flavour_for(kind, "GET", path, polled=True)         # answers that tell the usage of an earlier call again:
                                                        # count it once by reading.usage_id or reading.response_id
    jobs.begun(provider, facts, reading)                # what a job was asked for (`flavour.begins_job`), for
    flavour.fetching(job, jobs.asked(provider, job))    # its answer, which does not say it again
"""

from taximeter.extract.counts import UNITS
from taximeter.extract.flavour import Flavour
from taximeter.extract.jobs import Jobs
from taximeter.extract.reading import NOTHING_READ, Reading, RequestFacts, estimated_tokens, of_what_is_told_later
from taximeter.extract.registry import KINDS, flavour_for
from taximeter.extract.sse import LONGEST_EVENT_BYTES, SseFraming
from taximeter.extract.stream import Decode, StreamReader

__all__ = [
    "KINDS",
    "LONGEST_EVENT_BYTES",
    "NOTHING_READ",
    "UNITS",
    "Decode",
    "Flavour",
    "Jobs",
    "Reading",
    "RequestFacts",
    "SseFraming",
    "StreamReader",
    "estimated_tokens",
    "flavour_for",
    "of_what_is_told_later",
]
