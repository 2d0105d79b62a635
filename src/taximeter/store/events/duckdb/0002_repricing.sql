-- What caching did to each amount, and the trail of re-pricing: who restated what, when and why.

DROP VIEW calls;
ALTER TABLE events ADD COLUMN cache_read_saving_usd DECIMAL(18, 12);
ALTER TABLE events ADD COLUMN cache_write_surcharge_usd DECIMAL(18, 12);

ALTER TABLE superseded_costs ADD COLUMN cache_read_saving_usd DECIMAL(18, 12);
ALTER TABLE superseded_costs ADD COLUMN cache_write_surcharge_usd DECIMAL(18, 12);
ALTER TABLE superseded_costs ADD COLUMN repricing_id VARCHAR;

-- One row is one run. `request` and `outcome` are JSON; `cursor` is how far a run that did not end has come, and is
-- committed together with the costs up to there.
CREATE TABLE repricings (
    repricing_id  VARCHAR PRIMARY KEY,
    kind          VARCHAR NOT NULL,
    asked_at      TIMESTAMP NOT NULL,
    asked_by      VARCHAR NOT NULL,
    note          VARCHAR,
    request       JSON NOT NULL,
    state         VARCHAR NOT NULL,
    price_version VARCHAR,
    cursor        VARCHAR,
    outcome       JSON
);

CREATE VIEW calls AS
SELECT *, coalesce(response_model, request_model) AS model
FROM events;
