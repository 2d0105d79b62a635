"""HTTP: one port, four faces.

`front` hands each request to a face by the first segment of its path: the gateway, ingest (`events_in`), the API
(`api`, `routes/`), or the page (`page`, `signin`). `access` decides who may.
"""
