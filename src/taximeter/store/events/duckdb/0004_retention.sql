-- From when on events, and the sums of each level, are kept; what began before was deleted for its age.
CREATE TABLE kept_from (
    name       VARCHAR PRIMARY KEY,
    started_at TIMESTAMP NOT NULL
);
