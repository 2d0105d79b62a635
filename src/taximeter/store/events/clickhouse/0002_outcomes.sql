-- What calls were made for, and what it was worth. Rows with the same moment and id are the same outcome, whose repetition
-- changes nothing. It is no call, and no sum of calls knows of it. Always read with FINAL.
CREATE TABLE IF NOT EXISTS outcome_facts (
    outcome_id      UUID,
    occurred_at     DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    name            LowCardinality(String),
    value_usd       Nullable(Decimal(18, 12)),
    source          LowCardinality(Nullable(String)),
    user_id         Nullable(String),
    team            LowCardinality(Nullable(String)),
    tenant          LowCardinality(Nullable(String)),
    feature         LowCardinality(Nullable(String)),
    endpoint        LowCardinality(Nullable(String)),
    environment     LowCardinality(Nullable(String)),
    service         LowCardinality(Nullable(String)),
    service_version LowCardinality(Nullable(String)),
    prompt_version  LowCardinality(Nullable(String)),
    session_id      Nullable(String),
    api_key_id      LowCardinality(Nullable(String)),
    tags            Map(String, Nullable(String)),
    ingested_at     Nullable(DateTime64(6, 'UTC')),

    INDEX ids outcome_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX id_range toUInt128(outcome_id) TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (occurred_at, toUInt128(outcome_id));

-- The documented face for queries.
CREATE VIEW IF NOT EXISTS outcomes AS SELECT * FROM outcome_facts FINAL;
