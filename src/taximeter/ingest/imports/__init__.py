"""Imports: files that other tools and providers write become events.

    files       bytes → rows: CSV, JSON lines, a JSON document; plain or gzip, never as a whole in memory
    cells       what stands in a cell or key → counts, amounts, instants, texts
    row         the nouns: a row, a draft of an event, what is left out and why
    <format>    rows of one format → drafts. Pure; one file a format
    registry    all formats, and which of them a file is
    engine      rows → checked lines of a spool, with a tally of what came
    reports     a provider's bill and usage report as rows to compare, kept nowhere

An import that is repeated changes nothing: an event's id is made of its time and of what identifies its row.
`docs/imports.md` is the manual.
"""
