-- The days (UTC) whose events were written anew user by user, and how many events of each that were.
CREATE TABLE arranged (
    started_at TIMESTAMP PRIMARY KEY,
    events     BIGINT NOT NULL
);
