"""Ingest: events come in over HTTP (`wire`, `receive`) and go from the spools into the store, priced (`collector`)."""
