-- What calls were made for, and what it was worth. One row is one outcome; a fact that is never updated. It is no call,
-- and no sum of calls knows of it.
CREATE TABLE outcome_facts (
    outcome_id      UUID NOT NULL,
    occurred_at     TIMESTAMP NOT NULL,
    name            VARCHAR NOT NULL,
    value_usd       DECIMAL(18, 12),
    source          VARCHAR,
    user_id         VARCHAR,
    team            VARCHAR,
    tenant          VARCHAR,
    feature         VARCHAR,
    endpoint        VARCHAR,
    environment     VARCHAR,
    service         VARCHAR,
    service_version VARCHAR,
    prompt_version  VARCHAR,
    session_id      VARCHAR,
    api_key_id      VARCHAR,
    tags            MAP(VARCHAR, VARCHAR),
    ingested_at     TIMESTAMP
);

-- The documented face for queries.
CREATE VIEW outcomes AS SELECT * FROM outcome_facts;
