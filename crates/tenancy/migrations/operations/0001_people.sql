-- People of one tenant and how they prove who they are. Login names and profiles are sealed: a patient's are PHI.

CREATE TABLE :schema.person (
  id uuid PRIMARY KEY,
  -- Blind token of the normalised login name.
  login_token bigint UNIQUE,
  -- {login, display name}
  sealed_profile bytea NOT NULL,
  status text NOT NULL CHECK (status IN ('invited', 'active', 'suspended', 'left')),
  -- The person's own Patient resource, if the person is a patient.
  patient uuid,
  -- The Practitioner resource that stands for the person.
  practitioner uuid,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE :schema.role_grant (
  person uuid NOT NULL REFERENCES :schema.person (id),
  role text NOT NULL,
  granted_by uuid,
  granted_at timestamptz NOT NULL,
  PRIMARY KEY (person, role)
);

CREATE TABLE :schema.password (
  person uuid PRIMARY KEY REFERENCES :schema.person (id),
  -- PHC string, argon2id
  phc text NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE :schema.totp (
  person uuid PRIMARY KEY REFERENCES :schema.person (id),
  sealed_secret bytea NOT NULL,
  confirmed_at timestamptz,
  -- The newest time step that was accepted: a code works once.
  last_step bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL
);

CREATE TABLE :schema.passkey (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id),
  credential_id bytea NOT NULL UNIQUE,
  -- Public key and flags as webauthn-rs serialises them; holds no secret.
  public_data text NOT NULL,
  name text NOT NULL,
  backup_eligible boolean NOT NULL,
  backup_state boolean NOT NULL,
  counter bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX passkey_by_person ON :schema.passkey (person);

CREATE TABLE :schema.recovery_code (
  person uuid NOT NULL REFERENCES :schema.person (id),
  code_hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (person, code_hash)
);

CREATE TABLE :schema.session (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id),
  -- SHA-256 of the token; the token itself is kept nowhere.
  token_hash bytea NOT NULL UNIQUE,
  state text NOT NULL CHECK (state IN ('pending', 'enrolling', 'active')),
  aal smallint NOT NULL CHECK (aal BETWEEN 0 AND 3),
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  -- When the newest factor was proven.
  factor_at timestamptz NOT NULL,
  factors text[] NOT NULL DEFAULT '{}',
  device uuid,
  user_agent text,
  revoked_at timestamptz
);
CREATE INDEX session_by_person ON :schema.session (person);

CREATE TABLE :schema.invite (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id),
  token_hash bytea NOT NULL UNIQUE,
  created_by uuid,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

-- Server-side state of a WebAuthn ceremony under way.
CREATE TABLE :schema.ceremony (
  id uuid PRIMARY KEY,
  kind text NOT NULL,
  person uuid,
  session uuid,
  state text NOT NULL,
  expires_at timestamptz NOT NULL
);

-- Softlocks: failed attempts per credential; in Postgres so that they outlive Redis and restarts.
CREATE TABLE :schema.softlock (
  subject text PRIMARY KEY,
  state text NOT NULL,
  updated_at timestamptz NOT NULL
);

GRANT USAGE ON SCHEMA :schema TO :role;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA :schema TO :role;
GRANT DELETE ON :schema.role_grant, :schema.password, :schema.totp, :schema.passkey, :schema.recovery_code,
  :schema.ceremony, :schema.softlock, :schema.session TO :role;
