-- Version 1 of the tables. Times are microseconds since the epoch; texts have `␀0` for NUL and
-- `␀␀` for `␀`. The views at the end are for people.

-- Who writes here: each numbers its own commits. A name belongs to its holder until the lease ends.
CREATE TABLE IF NOT EXISTS periskop_observers (
  id INTEGER NOT NULL,
  commits INTEGER NOT NULL,
  holder BLOB,
  process TEXT,
  leased_until INTEGER,
  PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS periskop_services (
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS periskop_service_observers (
  service BLOB NOT NULL,
  observer INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (service, observer)
) WITHOUT ROWID;

-- How targets were found last; only changes are noted. The id is of the URL.
CREATE TABLE IF NOT EXISTS periskop_targets (
  service BLOB NOT NULL,
  id BLOB NOT NULL,
  url TEXT NOT NULL,
  reason TEXT NOT NULL,
  is_down INTEGER NOT NULL,
  since INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (service, id)
);

-- Who counts: the id is the first half of the SHA-256 of the name.
CREATE TABLE IF NOT EXISTS periskop_sources (
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  labels TEXT,
  labels_at INTEGER,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (id)
);

-- The id of an error is the first half of SHA-256(SHA-256(service) SHA-256(aggregation_key)): keys are
-- hostile, and no collation or index limit must make one of two. Severity: 1 info, 2 warning, 3 error.
CREATE TABLE IF NOT EXISTS periskop_errors (
  id BLOB NOT NULL,
  service BLOB NOT NULL,
  key_sha256 BLOB NOT NULL,
  aggregation_key TEXT NOT NULL,
  first_seen INTEGER,
  last_seen INTEGER,
  severity INTEGER,
  severity_at INTEGER,
  forgotten_through INTEGER,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (id)
);

-- One life of one source's counter: since `life` by its own created_at, or, where is_numbered, the
-- `life`th that observer numbered_by saw. Age: twice the time, plus 1 while it is exported.
CREATE TABLE IF NOT EXISTS periskop_counts (
  error BLOB NOT NULL,
  source BLOB NOT NULL,
  numbered_by INTEGER NOT NULL,
  is_numbered INTEGER NOT NULL,
  life INTEGER NOT NULL,
  total INTEGER NOT NULL,
  newest INTEGER,
  risen INTEGER,
  age INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (error, source, numbered_by, is_numbered, life)
) WITHOUT ROWID;

-- What of these counts people had forgotten.
CREATE TABLE IF NOT EXISTS periskop_forgotten (
  error BLOB NOT NULL,
  source BLOB NOT NULL,
  numbered_by INTEGER NOT NULL,
  is_numbered INTEGER NOT NULL,
  life INTEGER NOT NULL,
  total INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (error, source, numbered_by, is_numbered, life)
) WITHOUT ROWID;

-- Frames, one list for each exception of the chain.
CREATE TABLE IF NOT EXISTS periskop_stacks (
  error BLOB NOT NULL,
  id BLOB NOT NULL,
  frames TEXT NOT NULL,
  PRIMARY KEY (error, id)
);

-- The newest occurrences of each error, by ordered_at and name (the uuid).
CREATE TABLE IF NOT EXISTS periskop_occurrences (
  error BLOB NOT NULL,
  name BLOB NOT NULL,
  stack BLOB NOT NULL,
  occurrence TEXT NOT NULL,
  content BLOB NOT NULL,
  ordered_at INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (error, name)
);

-- What people did.
CREATE TABLE IF NOT EXISTS periskop_actions (
  error BLOB NOT NULL,
  done_at INTEGER NOT NULL,
  id BLOB NOT NULL,
  act TEXT NOT NULL,
  mute_until INTEGER,
  mute_further INTEGER,
  done_by TEXT NOT NULL,
  why TEXT NOT NULL,
  watermark TEXT,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (error, done_at, id)
);

-- Occurrences over time, as each observer saw them: minutes for a day, hours for thirty.
CREATE TABLE IF NOT EXISTS periskop_buckets (
  error BLOB NOT NULL,
  observer INTEGER NOT NULL,
  seconds INTEGER NOT NULL,
  number INTEGER NOT NULL,
  total INTEGER NOT NULL,
  writer INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (error, observer, seconds, number)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS periskop_errors_changed ON periskop_errors (writer, commit_number);

CREATE INDEX IF NOT EXISTS periskop_sources_changed ON periskop_sources (writer, commit_number);

CREATE INDEX IF NOT EXISTS periskop_counts_source ON periskop_counts (source);

CREATE INDEX IF NOT EXISTS periskop_occurrences_order ON periskop_occurrences (error, ordered_at, name, stack);

-- Totals: lives add up; where observers numbered them, the largest observer's sum counts.
CREATE VIEW IF NOT EXISTS periskop_totals AS SELECT s.error, SUM(s.total) AS total FROM (
    SELECT o.error, o.source, o.is_numbered, MAX(o.total) AS total FROM (
      SELECT c.error, c.source, c.is_numbered, c.numbered_by, SUM(CASE WHEN c.total - COALESCE(f.total, 0) > 0 THEN c.total - COALESCE(f.total, 0) ELSE 0 END) AS total
      FROM periskop_counts c
      LEFT JOIN periskop_forgotten f ON f.error = c.error AND f.source = c.source
        AND f.numbered_by = c.numbered_by AND f.is_numbered = c.is_numbered AND f.life = c.life
      GROUP BY c.error, c.source, c.is_numbered, c.numbered_by
    ) o GROUP BY o.error, o.source, o.is_numbered
  ) s GROUP BY s.error;

CREATE VIEW IF NOT EXISTS periskop_error_list AS
SELECT s.name AS service, e.aggregation_key, t.total, CASE e.severity WHEN 1 THEN 'info' WHEN 2 THEN 'warning' WHEN 3 THEN 'error' END AS severity,
  CASE WHEN e.first_seen BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (e.first_seen - ((e.first_seen % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((e.first_seen % 1000000) + 1000000) % 1000000) END AS first_seen,
  CASE WHEN e.last_seen BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (e.last_seen - ((e.last_seen % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((e.last_seen % 1000000) + 1000000) % 1000000) END AS last_seen,
  e.id
FROM periskop_errors e
JOIN periskop_services s ON s.id = e.service
LEFT JOIN periskop_totals t ON t.error = e.id;

CREATE VIEW IF NOT EXISTS periskop_count_list AS
SELECT s.name AS service, e.aggregation_key, r.name AS source, r.labels, c.total,
  CASE WHEN c.is_numbered = 0 THEN CASE WHEN c.life BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (c.life - ((c.life % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((c.life % 1000000) + 1000000) % 1000000) END END AS since,
  CASE WHEN c.newest BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (c.newest - ((c.newest % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((c.newest % 1000000) + 1000000) % 1000000) END AS newest,
  c.age & 1 AS is_exported,
  CASE WHEN ((c.age - (c.age & 1)) / 2) BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (((c.age - (c.age & 1)) / 2) - ((((c.age - (c.age & 1)) / 2) % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((((c.age - (c.age & 1)) / 2) % 1000000) + 1000000) % 1000000) END AS age_since
FROM periskop_counts c
JOIN periskop_errors e ON e.id = c.error
JOIN periskop_services s ON s.id = e.service
LEFT JOIN periskop_sources r ON r.id = c.source;

CREATE VIEW IF NOT EXISTS periskop_occurrence_list AS
SELECT s.name AS service, e.aggregation_key,
  CASE WHEN o.ordered_at BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (o.ordered_at - ((o.ordered_at % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((o.ordered_at % 1000000) + 1000000) % 1000000) END AS occurred_at,
  o.occurrence, k.frames
FROM periskop_occurrences o
JOIN periskop_errors e ON e.id = o.error
JOIN periskop_services s ON s.id = e.service
LEFT JOIN periskop_stacks k ON k.error = o.error AND k.id = o.stack;

CREATE VIEW IF NOT EXISTS periskop_action_list AS
SELECT s.name AS service, e.aggregation_key,
  CASE WHEN a.done_at BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (a.done_at - ((a.done_at % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((a.done_at % 1000000) + 1000000) % 1000000) END AS done_at,
  a.act, a.done_by, a.why,
  CASE WHEN a.mute_until BETWEEN -62135596800000000 AND 253402300799999999 THEN strftime('%Y-%m-%dT%H:%M:%S', (a.mute_until - ((a.mute_until % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06dZ', ((a.mute_until % 1000000) + 1000000) % 1000000) END AS mute_until, a.mute_further
FROM periskop_actions a
JOIN periskop_errors e ON e.id = a.error
JOIN periskop_services s ON s.id = e.service;
