-- Apps: who is registered, who was let in by whom, and the hashes of what they hold. Argued in docs/adr/0008-smart.md.

CREATE TABLE :schema.oauth_client (
  -- The client_id.
  id uuid PRIMARY KEY,
  name text NOT NULL,
  authentication text NOT NULL CHECK (authentication IN ('none', 'client_secret', 'private_key_jwt')),
  secret_hash bytea CHECK (octet_length(secret_hash) = 32),
  -- Public keys (RFC 7517).
  keys jsonb,
  redirect_uris jsonb NOT NULL,
  launch_uri text,
  -- The most that it may ask for.
  scopes text NOT NULL,
  -- The service account that a program without people acts as.
  person uuid REFERENCES :schema.person (id),
  state text NOT NULL CHECK (state IN ('pending', 'approved', 'disabled')),
  created_by uuid NOT NULL,
  created_at timestamptz NOT NULL,
  decided_by uuid,
  decided_at timestamptz,
  removed_at timestamptz,
  CHECK ((authentication = 'client_secret') = (secret_hash IS NOT NULL)),
  CHECK ((authentication = 'private_key_jwt') = (keys IS NOT NULL))
);

-- What a person allowed an app, or a service account's app was given. Everything that the app holds hangs on it.
CREATE TABLE :schema.oauth_grant (
  id uuid PRIMARY KEY,
  client uuid NOT NULL REFERENCES :schema.oauth_client (id),
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  -- The session that it ends with; none for one that outlives it.
  session uuid,
  scopes text NOT NULL,
  -- The Patient resource that the app was opened for.
  patient uuid,
  -- What the session was worth when it was given.
  aal smallint NOT NULL CHECK (aal BETWEEN 1 AND 3),
  factor_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX oauth_grant_by_person ON :schema.oauth_grant (person) WHERE revoked_at IS NULL;
CREATE INDEX oauth_grant_by_client ON :schema.oauth_grant (client) WHERE revoked_at IS NULL;

CREATE TABLE :schema.oauth_code (
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  oauth_grant uuid NOT NULL REFERENCES :schema.oauth_grant (id) ON DELETE CASCADE,
  redirect_uri text NOT NULL,
  challenge bytea NOT NULL CHECK (octet_length(challenge) = 32),
  nonce text,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX oauth_code_by_expiry ON :schema.oauth_code (expires_at);

CREATE TABLE :schema.oauth_token (
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  oauth_grant uuid NOT NULL REFERENCES :schema.oauth_grant (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('access', 'refresh')),
  scopes text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  -- Of a refresh token: a second use ends the grant.
  used_at timestamptz
);
CREATE INDEX oauth_token_by_grant ON :schema.oauth_token (oauth_grant);

-- The context in which an app is opened from a chart.
CREATE TABLE :schema.oauth_launch (
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  client uuid NOT NULL REFERENCES :schema.oauth_client (id),
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  patient uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

-- Keys that sign id tokens; the private half is sealed.
CREATE TABLE :schema.oauth_signing_key (
  id uuid PRIMARY KEY,
  sealed_key bytea NOT NULL,
  public_jwk jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  -- Since when it signs nothing; it stays published until what it signed has expired.
  retired_at timestamptz
);
CREATE UNIQUE INDEX oauth_signing_key_active ON :schema.oauth_signing_key ((true)) WHERE retired_at IS NULL;

-- Assertions that were used, until they expire.
CREATE TABLE :schema.oauth_assertion (
  client uuid NOT NULL REFERENCES :schema.oauth_client (id),
  jti bytea NOT NULL CHECK (octet_length(jti) = 32),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (client, jti)
);

GRANT SELECT, INSERT ON :schema.oauth_client, :schema.oauth_grant, :schema.oauth_code, :schema.oauth_token,
  :schema.oauth_launch, :schema.oauth_signing_key, :schema.oauth_assertion TO :role;
GRANT UPDATE (state, decided_by, decided_at, removed_at) ON :schema.oauth_client TO :role;
GRANT UPDATE (last_used_at, revoked_at) ON :schema.oauth_grant TO :role;
GRANT UPDATE (used_at) ON :schema.oauth_code, :schema.oauth_token, :schema.oauth_launch TO :role;
GRANT UPDATE (retired_at) ON :schema.oauth_signing_key TO :role;
GRANT DELETE ON :schema.oauth_code, :schema.oauth_token, :schema.oauth_launch, :schema.oauth_assertion,
  :schema.oauth_signing_key TO :role;
