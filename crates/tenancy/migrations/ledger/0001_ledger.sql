-- The audit ledger of a tenant without health data (ADR 12): as in clinical/0001_records.sql, and nothing else of that.

CREATE TABLE :schema.audit_entry (
  idx bigint PRIMARY KEY CHECK (idx >= 0),
  entry bytea NOT NULL,
  leaf bytea NOT NULL CHECK (length(leaf) = 32)
);

CREATE TABLE :schema.audit_checkpoint (
  size bigint NOT NULL,
  at timestamptz NOT NULL,
  note text NOT NULL,
  -- The tree's frontier at this size; trusted only if its root is the signed one.
  frontier bytea NOT NULL,
  PRIMARY KEY (size, at)
);

GRANT USAGE ON SCHEMA :schema TO :role;
GRANT SELECT, INSERT ON :schema.audit_entry TO :role;
GRANT SELECT, INSERT ON :schema.audit_checkpoint TO :role;
