-- Spans are told in the order in which calls came: each turn asks for those of the last minutes, whenever they began.
-- All versions of an event came at the same moment, so a reading with FINAL may go by this.
ALTER TABLE events ADD INDEX IF NOT EXISTS came ingested_at TYPE minmax GRANULARITY 1;
ALTER TABLE events MATERIALIZE INDEX came;
