-- Units of roll-ups (hours, days) whose sums are not what the events say, or not there yet. A batch marks its units in
-- its own transaction; adding a unit up anew takes its mark away in that transaction. The tables of the sums are made
-- from the list of measures at every start where they lack one, since everything in them is derived.
CREATE TABLE rollup_dirty (
    level      VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    PRIMARY KEY (level, started_at)
);

-- Users whose data was deleted: a copy of an event of theirs that began before that is not stored again. Only a hash is
-- kept.
CREATE TABLE deleted_users (
    user_hash  VARCHAR PRIMARY KEY,
    deleted_at TIMESTAMP NOT NULL
);
