-- One row is one event: one attempt of one call. Rows with the same start and id are the same event, of which the one
-- with the highest version counts: what an insert repeats (version 0) changes nothing, and re-pricing writes the row
-- again with a higher version. Always read with FINAL. All times are UTC. Statements end with a semicolon at the end of
-- a line, and can be repeated, since there are no transactions.

CREATE TABLE IF NOT EXISTS events (
    event_id                  UUID,
    started_at                DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    duration_ms               Nullable(Float64),
    time_to_first_token_ms    Nullable(Float64),
    source                    LowCardinality(Nullable(String)),
    provider                  LowCardinality(Nullable(String)),
    request_model             LowCardinality(Nullable(String)),
    response_model            LowCardinality(Nullable(String)),
    operation                 LowCardinality(Nullable(String)),
    service_tier              LowCardinality(Nullable(String)),
    region                    LowCardinality(Nullable(String)),
    status                    LowCardinality(Nullable(String)),
    http_status               Nullable(Int64),
    error_type                LowCardinality(Nullable(String)),
    request_id                Nullable(String),
    response_id               Nullable(String),
    attempt                   Int64 DEFAULT 1,
    session_id                Nullable(String),
    trace_id                  Nullable(String),
    span_id                   Nullable(String),
    user_id                   Nullable(String),
    team                      LowCardinality(Nullable(String)),
    tenant                    LowCardinality(Nullable(String)),
    feature                   LowCardinality(Nullable(String)),
    endpoint                  LowCardinality(Nullable(String)),
    environment               LowCardinality(Nullable(String)),
    service                   LowCardinality(Nullable(String)),
    service_version           LowCardinality(Nullable(String)),
    prompt_version            LowCardinality(Nullable(String)),
    api_key_id                LowCardinality(Nullable(String)),
    tags                      Map(String, Nullable(String)),
    input_tokens              Nullable(Int64),
    cache_read_tokens         Nullable(Int64),
    cache_write_5m_tokens     Nullable(Int64),
    cache_write_1h_tokens     Nullable(Int64),
    input_audio_tokens        Nullable(Int64),
    cache_read_audio_tokens   Nullable(Int64),
    input_image_tokens        Nullable(Int64),
    input_video_tokens        Nullable(Int64),
    output_tokens             Nullable(Int64),
    reasoning_tokens          Nullable(Int64),
    output_audio_tokens       Nullable(Int64),
    output_image_tokens       Nullable(Int64),
    units                     Map(String, Decimal(18, 6)),
    by_model                  Nullable(String),
    not_billed                Bool DEFAULT false,
    usage_estimated           Bool DEFAULT false,
    usage_conflict            Bool DEFAULT false,
    reported_cost_usd         Nullable(Decimal(18, 12)),

    cost_usd                  Nullable(Decimal(18, 12)),
    cost                      Tuple(
                                  input Nullable(Decimal(18, 12)),
                                  cache_read Nullable(Decimal(18, 12)),
                                  cache_write Nullable(Decimal(18, 12)),
                                  output Nullable(Decimal(18, 12)),
                                  other Nullable(Decimal(18, 12))
                              ),
    cache_read_saving_usd     Nullable(Decimal(18, 12)),
    cache_write_surcharge_usd Nullable(Decimal(18, 12)),
    unpriced_reason           LowCardinality(Nullable(String)),
    price_version             LowCardinality(Nullable(String)),
    price_rule                LowCardinality(Nullable(String)),
    ingested_at               Nullable(DateTime64(6, 'UTC')),
    version                   UInt64 DEFAULT 0,

    INDEX ids event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX id_range toUInt128(event_id) TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(started_at)
ORDER BY (started_at, toUInt128(event_id));

-- What an event cost by an earlier derivation, kept when re-pricing replaces it; once for each run.
CREATE TABLE IF NOT EXISTS superseded_costs (
    event_id                  UUID,
    cost_usd                  Nullable(Decimal(18, 12)),
    cost                      Tuple(
                                  input Nullable(Decimal(18, 12)),
                                  cache_read Nullable(Decimal(18, 12)),
                                  cache_write Nullable(Decimal(18, 12)),
                                  output Nullable(Decimal(18, 12)),
                                  other Nullable(Decimal(18, 12))
                              ),
    cache_read_saving_usd     Nullable(Decimal(18, 12)),
    cache_write_surcharge_usd Nullable(Decimal(18, 12)),
    unpriced_reason           LowCardinality(Nullable(String)),
    price_version             LowCardinality(Nullable(String)),
    price_rule                LowCardinality(Nullable(String)),
    superseded_at             DateTime64(6, 'UTC'),
    repricing_id              String
)
ENGINE = MergeTree
ORDER BY (toUInt128(event_id), repricing_id);

-- One row is one run of re-pricing; the one with the highest version says how it stands.
CREATE TABLE IF NOT EXISTS repricings (
    repricing_id  String,
    kind          String,
    asked_at      DateTime64(6, 'UTC'),
    asked_by      String,
    note          Nullable(String),
    request       String,
    state         String,
    price_version Nullable(String),
    cursor_us     Nullable(Int64),
    outcome       String,
    version       UInt64 DEFAULT toUnixTimestamp64Micro(now64(6))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY repricing_id;

-- How far each source of batches (a spool segment) is stored. Written after its batch: a batch whose mark is missing
-- comes again, and is known by its ids.
CREATE TABLE IF NOT EXISTS marks (
    collector String,
    name      String,
    position  Int64,
    version   UInt64 DEFAULT toUnixTimestamp64Micro(now64(6)),
    gone      UInt8 DEFAULT 0
)
ENGINE = ReplacingMergeTree(version, gone)
ORDER BY (collector, name);

-- Units of roll-ups whose sums may not be what the events say. Each writer has a row of its own for a unit, with the
-- number of its step (version): 2 while it writes, 1 when it has written, 0 when the unit was added up after that.
CREATE TABLE IF NOT EXISTS rollup_dirty (
    level      LowCardinality(String),
    started_at DateTime64(6, 'UTC'),
    writer     UUID,
    state      UInt8,
    version    UInt64,
    marked_at  DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (level, started_at, writer)
TTL marked_at + INTERVAL 30 DAY DELETE WHERE state = 0;

-- Which generation of a unit's sums counts: it is written in one row, after its sums. The tables of the sums are made
-- from the list of measures at every start where they lack one, since everything in them is derived.
CREATE TABLE IF NOT EXISTS rollup_units (
    level      LowCardinality(String),
    started_at DateTime64(6, 'UTC'),
    generation UInt64
)
ENGINE = ReplacingMergeTree(generation)
ORDER BY (level, started_at);

-- Users whose data was deleted: a copy of an event of theirs that began before that is not stored again. Only a hash is
-- kept.
CREATE TABLE IF NOT EXISTS deleted_users (
    user_hash  String,
    deleted_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(deleted_at)
ORDER BY user_hash;

-- From when on events, and the sums of each level, are kept; what began before was deleted for its age.
CREATE TABLE IF NOT EXISTS kept_from (
    name       String,
    started_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(started_at)
ORDER BY name;
