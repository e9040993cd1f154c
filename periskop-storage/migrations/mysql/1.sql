-- Version 1 of the tables. Times are microseconds since the epoch; texts have `␀0` for NUL and
-- `␀␀` for `␀`. The views at the end are for people.

-- Who writes here: each numbers its own commits. A name belongs to its holder until the lease ends.
CREATE TABLE IF NOT EXISTS periskop_observers (
  id BIGINT NOT NULL,
  commits BIGINT NOT NULL,
  holder BINARY(16),
  process LONGTEXT,
  leased_until BIGINT,
  PRIMARY KEY (id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS periskop_services (
  id BINARY(16) NOT NULL,
  name LONGTEXT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS periskop_service_observers (
  service BINARY(16) NOT NULL,
  observer BIGINT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (service, observer)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How targets were found last; only changes are noted. The id is of the URL.
CREATE TABLE IF NOT EXISTS periskop_targets (
  service BINARY(16) NOT NULL,
  id BINARY(16) NOT NULL,
  url LONGTEXT NOT NULL,
  reason LONGTEXT NOT NULL,
  is_down BIGINT NOT NULL,
  since BIGINT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (service, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who counts: the id is the first half of the SHA-256 of the name.
CREATE TABLE IF NOT EXISTS periskop_sources (
  id BINARY(16) NOT NULL,
  name LONGTEXT NOT NULL,
  labels LONGTEXT,
  labels_at BIGINT,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (id),
  INDEX periskop_sources_changed (writer, commit_number)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The id of an error is the first half of SHA-256(SHA-256(service) SHA-256(aggregation_key)): keys are
-- hostile, and no collation or index limit must make one of two. Severity: 1 info, 2 warning, 3 error.
CREATE TABLE IF NOT EXISTS periskop_errors (
  id BINARY(16) NOT NULL,
  service BINARY(16) NOT NULL,
  key_sha256 BINARY(32) NOT NULL,
  aggregation_key LONGTEXT NOT NULL,
  first_seen BIGINT,
  last_seen BIGINT,
  severity BIGINT,
  severity_at BIGINT,
  forgotten_through BIGINT,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (id),
  INDEX periskop_errors_changed (writer, commit_number)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One life of one source's counter: since `life` by its own created_at, or, where is_numbered, the
-- `life`th that observer numbered_by saw. Age: twice the time, plus 1 while it is exported.
CREATE TABLE IF NOT EXISTS periskop_counts (
  error BINARY(16) NOT NULL,
  source BINARY(16) NOT NULL,
  numbered_by BIGINT NOT NULL,
  is_numbered BIGINT NOT NULL,
  life BIGINT NOT NULL,
  total BIGINT NOT NULL,
  newest BIGINT,
  risen BIGINT,
  age BIGINT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (error, source, numbered_by, is_numbered, life),
  INDEX periskop_counts_source (source)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What of these counts people had forgotten.
CREATE TABLE IF NOT EXISTS periskop_forgotten (
  error BINARY(16) NOT NULL,
  source BINARY(16) NOT NULL,
  numbered_by BIGINT NOT NULL,
  is_numbered BIGINT NOT NULL,
  life BIGINT NOT NULL,
  total BIGINT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (error, source, numbered_by, is_numbered, life)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Frames, one list for each exception of the chain.
CREATE TABLE IF NOT EXISTS periskop_stacks (
  error BINARY(16) NOT NULL,
  id BINARY(16) NOT NULL,
  frames LONGTEXT NOT NULL,
  PRIMARY KEY (error, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The newest occurrences of each error, by ordered_at and name (the uuid).
CREATE TABLE IF NOT EXISTS periskop_occurrences (
  error BINARY(16) NOT NULL,
  name VARBINARY(1100) NOT NULL,
  stack BINARY(16) NOT NULL,
  occurrence LONGTEXT NOT NULL,
  content BINARY(16) NOT NULL,
  ordered_at BIGINT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (error, name),
  INDEX periskop_occurrences_order (error, ordered_at, name, stack)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What people did.
CREATE TABLE IF NOT EXISTS periskop_actions (
  error BINARY(16) NOT NULL,
  done_at BIGINT NOT NULL,
  id BINARY(16) NOT NULL,
  act LONGTEXT NOT NULL,
  mute_until BIGINT,
  mute_further BIGINT,
  done_by LONGTEXT NOT NULL,
  why LONGTEXT NOT NULL,
  watermark LONGTEXT,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (error, done_at, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Occurrences over time, as each observer saw them: minutes for a day, hours for thirty.
CREATE TABLE IF NOT EXISTS periskop_buckets (
  error BINARY(16) NOT NULL,
  observer BIGINT NOT NULL,
  seconds BIGINT NOT NULL,
  number BIGINT NOT NULL,
  total BIGINT NOT NULL,
  writer BIGINT NOT NULL,
  commit_number BIGINT NOT NULL,
  PRIMARY KEY (error, observer, seconds, number)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Totals: lives add up; where observers numbered them, the largest observer's sum counts.
CREATE OR REPLACE VIEW periskop_totals AS SELECT s.error, SUM(s.total) AS total FROM (
    SELECT o.error, o.source, o.is_numbered, MAX(o.total) AS total FROM (
      SELECT c.error, c.source, c.is_numbered, c.numbered_by, SUM(CASE WHEN c.total - COALESCE(f.total, 0) > 0 THEN c.total - COALESCE(f.total, 0) ELSE 0 END) AS total
      FROM periskop_counts c
      LEFT JOIN periskop_forgotten f ON f.error = c.error AND f.source = c.source
        AND f.numbered_by = c.numbered_by AND f.is_numbered = c.is_numbered AND f.life = c.life
      GROUP BY c.error, c.source, c.is_numbered, c.numbered_by
    ) o GROUP BY o.error, o.source, o.is_numbered
  ) s GROUP BY s.error;

CREATE OR REPLACE VIEW periskop_error_list AS
SELECT s.name AS service, e.aggregation_key, t.total, CASE e.severity WHEN 1 THEN 'info' WHEN 2 THEN 'warning' WHEN 3 THEN 'error' END AS severity,
  CASE WHEN e.first_seen BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, e.first_seen, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS first_seen,
  CASE WHEN e.last_seen BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, e.last_seen, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS last_seen,
  e.id
FROM periskop_errors e
JOIN periskop_services s ON s.id = e.service
LEFT JOIN periskop_totals t ON t.error = e.id;

CREATE OR REPLACE VIEW periskop_count_list AS
SELECT s.name AS service, e.aggregation_key, r.name AS source, r.labels, c.total,
  CASE WHEN c.is_numbered = 0 THEN CASE WHEN c.life BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, c.life, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END END AS since,
  CASE WHEN c.newest BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, c.newest, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS newest,
  c.age & 1 AS is_exported,
  CASE WHEN ((c.age - (c.age & 1)) DIV 2) BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, ((c.age - (c.age & 1)) DIV 2), CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS age_since
FROM periskop_counts c
JOIN periskop_errors e ON e.id = c.error
JOIN periskop_services s ON s.id = e.service
LEFT JOIN periskop_sources r ON r.id = c.source;

CREATE OR REPLACE VIEW periskop_occurrence_list AS
SELECT s.name AS service, e.aggregation_key,
  CASE WHEN o.ordered_at BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, o.ordered_at, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS occurred_at,
  o.occurrence, k.frames
FROM periskop_occurrences o
JOIN periskop_errors e ON e.id = o.error
JOIN periskop_services s ON s.id = e.service
LEFT JOIN periskop_stacks k ON k.error = o.error AND k.id = o.stack;

CREATE OR REPLACE VIEW periskop_action_list AS
SELECT s.name AS service, e.aggregation_key,
  CASE WHEN a.done_at BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, a.done_at, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS done_at,
  a.act, a.done_by, a.why,
  CASE WHEN a.mute_until BETWEEN -62135596800000000 AND 253402300799999999 THEN TIMESTAMPADD(MICROSECOND, a.mute_until, CAST('1970-01-01 00:00:00' AS DATETIME(6))) END AS mute_until, a.mute_further
FROM periskop_actions a
JOIN periskop_errors e ON e.id = a.error
JOIN periskop_services s ON s.id = e.service;
