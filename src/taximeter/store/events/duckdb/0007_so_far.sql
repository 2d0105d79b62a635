-- Units of roll-ups that have not ended and are added up until a full hour or day, `until`. They are dirty all the same:
-- as far as that they are read from their rows, from there on from the events. When something before `until` changes,
-- `until` becomes the start of the unit in the same transaction, and nothing is read from its rows until it is added up
-- again. `made_before` is until when events were settled when it last was.
CREATE TABLE rollup_so_far (
    level       VARCHAR   NOT NULL,
    started_at  TIMESTAMP NOT NULL,
    until       TIMESTAMP NOT NULL,
    made_before TIMESTAMP NOT NULL
);
