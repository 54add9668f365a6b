-- Health records of one tenant. Bodies are sealed; what is clear is decided in docs/data-classification.md.

CREATE TABLE :schema.resource (
  id uuid PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  version integer NOT NULL CHECK (version >= 1),
  -- The patient compartment: the Patient resource that this one is about; its own id for a Patient.
  patient uuid,
  deleted boolean NOT NULL DEFAULT false,
  last_updated timestamptz NOT NULL,
  status text,
  categories text[] NOT NULL DEFAULT '{}',
  event_start timestamptz,
  event_end timestamptz,
  -- The audit entry that permitted this version: a version without one cannot be written.
  entry uuid NOT NULL,
  -- Header (searchable values) and body under one envelope; NULL for a deletion.
  sealed bytea,
  CHECK (deleted = (sealed IS NULL))
) WITH (fillfactor = 90);
CREATE INDEX resource_by_time ON :schema.resource (kind, last_updated DESC, id DESC);
CREATE INDEX resource_by_patient ON :schema.resource (patient, kind, last_updated DESC, id DESC);

-- Every version but the present one, sealed as it was.
CREATE TABLE :schema.resource_version (
  id uuid NOT NULL,
  version integer NOT NULL,
  kind text COLLATE "C" NOT NULL,
  patient uuid,
  deleted boolean NOT NULL,
  last_updated timestamptz NOT NULL,
  entry uuid NOT NULL,
  sealed bytea,
  PRIMARY KEY (id, version)
);

-- Keyed tokens of searchable values (blind index). A token tells equal from different and nothing else.
CREATE TABLE :schema.search_token (
  param smallint NOT NULL,
  token bigint NOT NULL,
  resource uuid NOT NULL,
  PRIMARY KEY (param, token, resource)
);
CREATE INDEX search_token_by_resource ON :schema.search_token (resource);

-- Who cares for whom: what a clinician's access is decided on. Bits: 1 care team, 2 assigned, 4 appointment, 8 proxy.
CREATE TABLE :schema.care_relation (
  person uuid NOT NULL,
  patient uuid NOT NULL,
  relation smallint NOT NULL CHECK (relation IN (1, 2, 4, 8)),
  valid_from timestamptz NOT NULL,
  valid_until timestamptz,
  entry uuid NOT NULL,
  PRIMARY KEY (person, patient, relation)
);
CREATE INDEX care_relation_by_patient ON :schema.care_relation (patient);

-- The audit ledger: RFC 6962 leaves in order. The login below can add to it and read it, nothing else.
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
GRANT SELECT, INSERT ON :schema.resource TO :role;
GRANT UPDATE (version, deleted, last_updated, status, categories, event_start, event_end, entry, sealed)
  ON :schema.resource TO :role;
GRANT SELECT, INSERT ON :schema.resource_version TO :role;
GRANT SELECT, INSERT, DELETE ON :schema.search_token TO :role;
GRANT SELECT, INSERT ON :schema.care_relation TO :role;
GRANT UPDATE (valid_from, valid_until, entry) ON :schema.care_relation TO :role;
GRANT SELECT, INSERT ON :schema.audit_entry TO :role;
GRANT SELECT, INSERT ON :schema.audit_checkpoint TO :role;
