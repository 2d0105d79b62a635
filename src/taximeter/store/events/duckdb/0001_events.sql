-- One row is one event: one attempt of one call. A fact is never updated; the cost columns are the current
-- derivation and are the only ones that re-pricing replaces. All times are UTC.

CREATE TABLE events (
    event_id                UUID NOT NULL,
    started_at              TIMESTAMP NOT NULL,
    duration_ms             DOUBLE,
    time_to_first_token_ms  DOUBLE,
    source                  VARCHAR,
    provider                VARCHAR,
    request_model           VARCHAR,
    response_model          VARCHAR,
    operation               VARCHAR,
    service_tier            VARCHAR,
    region                  VARCHAR,
    status                  VARCHAR,
    http_status             BIGINT,
    error_type              VARCHAR,
    request_id              VARCHAR,
    response_id             VARCHAR,
    attempt                 BIGINT,
    session_id              VARCHAR,
    trace_id                VARCHAR,
    span_id                 VARCHAR,
    user_id                 VARCHAR,
    team                    VARCHAR,
    tenant                  VARCHAR,
    feature                 VARCHAR,
    endpoint                VARCHAR,
    environment             VARCHAR,
    service                 VARCHAR,
    service_version         VARCHAR,
    prompt_version          VARCHAR,
    api_key_id              VARCHAR,
    tags                    MAP(VARCHAR, VARCHAR),
    input_tokens            BIGINT,
    cache_read_tokens       BIGINT,
    cache_write_5m_tokens   BIGINT,
    cache_write_1h_tokens   BIGINT,
    input_audio_tokens      BIGINT,
    cache_read_audio_tokens BIGINT,
    input_image_tokens      BIGINT,
    input_video_tokens      BIGINT,
    output_tokens           BIGINT,
    reasoning_tokens        BIGINT,
    output_audio_tokens     BIGINT,
    output_image_tokens     BIGINT,
    units                   MAP(VARCHAR, DECIMAL(18, 6)),
    by_model                JSON,
    not_billed              BOOLEAN NOT NULL,
    usage_estimated         BOOLEAN NOT NULL,
    usage_conflict          BOOLEAN NOT NULL,
    reported_cost_usd       DECIMAL(18, 12),

    cost_usd                DECIMAL(18, 12),
    cost                    STRUCT(
                                input DECIMAL(18, 12),
                                cache_read DECIMAL(18, 12),
                                cache_write DECIMAL(18, 12),
                                output DECIMAL(18, 12),
                                other DECIMAL(18, 12)
                            ),
    unpriced_reason         VARCHAR,
    price_version           VARCHAR,
    price_rule              VARCHAR,
    ingested_at             TIMESTAMP
);

-- What an event cost by an earlier derivation, kept when re-pricing replaces it.
CREATE TABLE superseded_costs (
    event_id        UUID NOT NULL,
    cost_usd        DECIMAL(18, 12),
    cost            STRUCT(
                        input DECIMAL(18, 12),
                        cache_read DECIMAL(18, 12),
                        cache_write DECIMAL(18, 12),
                        output DECIMAL(18, 12),
                        other DECIMAL(18, 12)
                    ),
    unpriced_reason VARCHAR,
    price_version   VARCHAR,
    price_rule      VARCHAR,
    superseded_at   TIMESTAMP NOT NULL
);

-- How far each source of batches (a spool segment) is stored. Committed together with the batch.
CREATE TABLE marks (
    name     VARCHAR PRIMARY KEY,
    position BIGINT NOT NULL
);

-- The documented face for queries: the columns of an event, and `model`.
CREATE VIEW calls AS
SELECT *, coalesce(response_model, request_model) AS model
FROM events;
