"""Providers on this machine, and the sample application that drives them. No account, no network, no cost.

`python -m taximeter.simulator serve` speaks the protocols of the providers listed in `routes.py` and keeps its own
ledger of what it billed; `python -m taximeter.simulator traffic` is a fictitious product that calls it with the real
client libraries.
In a test: `with RunningSimulator(Settings()) as simulator: OpenAI(base_url=simulator.openai_url, ...)`.
"""
