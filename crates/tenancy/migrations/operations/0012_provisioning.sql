-- A tenant's own identity provider (SCIM 2.0). Argued in docs/adr/0010-scim.md.

CREATE TABLE :schema.provisioning_token (
  id uuid PRIMARY KEY,
  -- The account that acts with it. Nobody signs in as it: it has no factor and no invitation.
  person uuid NOT NULL UNIQUE REFERENCES :schema.person (id),
  name text NOT NULL,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  created_by uuid NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at timestamptz
);

-- What an identity provider says of somebody, beside login name and name.
CREATE TABLE :schema.provisioned (
  person uuid PRIMARY KEY REFERENCES :schema.person (id) ON DELETE CASCADE,
  -- Blind, of its own id of the person.
  external_token bigint,
  sealed_attributes bytea NOT NULL
);
CREATE INDEX provisioned_by_external ON :schema.provisioned (external_token);

ALTER TABLE :schema.person
  -- Who suspended: an identity provider lifts its own suspensions only.
  ADD COLUMN suspended_by uuid,
  -- When names or state last changed, where that was after the beginning.
  ADD COLUMN changed_at timestamptz;

-- A login name is somebody's only as long as they are here: whoever left may come back as a new person (RFC 7644, 3.6).
ALTER TABLE :schema.person DROP CONSTRAINT person_login_token_key;
CREATE UNIQUE INDEX person_login ON :schema.person (login_token) WHERE left_at IS NULL;

GRANT SELECT, INSERT ON :schema.provisioning_token, :schema.provisioned TO :role;
GRANT UPDATE (last_used_at, revoked_at) ON :schema.provisioning_token TO :role;
GRANT UPDATE (external_token, sealed_attributes) ON :schema.provisioned TO :role;
GRANT UPDATE (suspended_by, changed_at) ON :schema.person TO :role;
