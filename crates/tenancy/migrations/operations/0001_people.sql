-- People of one tenant and how they prove who they are. Argued in docs/adr/0006-identity.md.
--
-- sealed_*: an envelope that only the vault opens. *_token: blind. *_hash: SHA-256 of 256 random bits, kept nowhere else.

CREATE TABLE :schema.person (
  id uuid PRIMARY KEY,
  -- Of the normalised login name.
  login_token bigint NOT NULL UNIQUE,
  sealed_login bytea NOT NULL,
  sealed_name bytea NOT NULL,
  audience text NOT NULL CHECK (audience IN ('staff', 'patient')),
  -- The person's own Patient resource, if the person is a patient.
  patient uuid,
  -- The Practitioner resource that stands for the person.
  practitioner uuid,
  -- The one person who was not invited by a colleague.
  founder boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  -- When the person first had two factors. Set once: from then on an invitation is no way in.
  activated_at timestamptz,
  suspended_at timestamptz,
  left_at timestamptz
);
CREATE UNIQUE INDEX person_founder ON :schema.person (founder) WHERE founder;

CREATE TABLE :schema.role_grant (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  role text NOT NULL,
  granted_by uuid,
  granted_at timestamptz NOT NULL,
  -- The invitation that it came by.
  invite uuid,
  revoked_at timestamptz
);
CREATE UNIQUE INDEX role_grant_once ON :schema.role_grant (person, role) WHERE revoked_at IS NULL;

CREATE TABLE :schema.password (
  person uuid PRIMARY KEY REFERENCES :schema.person (id) ON DELETE CASCADE,
  -- PHC string, argon2id
  phc text NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE TABLE :schema.totp (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  sealed_secret bytea NOT NULL,
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz,
  -- The newest time step that was accepted: a code works once.
  last_step bigint
);
CREATE UNIQUE INDEX totp_confirmed ON :schema.totp (person) WHERE confirmed_at IS NOT NULL;
CREATE UNIQUE INDEX totp_unconfirmed ON :schema.totp (person) WHERE confirmed_at IS NULL;

CREATE TABLE :schema.passkey (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  name text NOT NULL,
  credential_id bytea NOT NULL UNIQUE,
  -- Public key and flags as webauthn-rs serialises them; holds no secret.
  data text NOT NULL,
  backup_eligible boolean NOT NULL,
  backup_state boolean NOT NULL,
  counter bigint NOT NULL CHECK (counter >= 0),
  created_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX passkey_by_person ON :schema.passkey (person);

CREATE TABLE :schema.recovery_code (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  created_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX recovery_code_by_person ON :schema.recovery_code (person);

CREATE TABLE :schema.session (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  state text NOT NULL CHECK (state IN ('pending', 'enrolling', 'active')),
  -- The whole state: what was enrolled so far, whether a new factor is due.
  detail jsonb NOT NULL,
  aal smallint NOT NULL CHECK (aal BETWEEN 0 AND 3),
  -- When it became active; until then, when it began.
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  -- When the newest factor that is worth something on its own was proven; a password is not.
  factor_at timestamptz NOT NULL,
  -- When each factor was last proven.
  factors jsonb NOT NULL,
  device uuid,
  revoked_at timestamptz,
  CHECK (state <> 'active' OR aal >= 1)
);
CREATE INDEX session_by_person ON :schema.session (person) WHERE revoked_at IS NULL;

CREATE TABLE :schema.invite (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  invited_by uuid NOT NULL,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  -- Names of the roles that are granted when the enrolment is complete.
  roles jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  accepted_at timestamptz,
  withdrawn_at timestamptz
);
CREATE INDEX invite_by_person ON :schema.invite (person);

CREATE TABLE :schema.device (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  name text NOT NULL,
  first_seen_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX device_by_person ON :schema.device (person);

-- Server-side state of a WebAuthn ceremony under way: taken out by whoever finishes it.
CREATE TABLE :schema.ceremony (
  id uuid PRIMARY KEY,
  person uuid REFERENCES :schema.person (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('registration', 'authentication', 'discoverable')),
  holder bytea NOT NULL CHECK (octet_length(holder) = 32),
  state text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX ceremony_by_expiry ON :schema.ceremony (expires_at);

-- Guess limits per credential; in Postgres so that they outlive Redis and restarts.
CREATE TABLE :schema.softlock (
  kind text NOT NULL,
  -- Login token or person id.
  subject bytea NOT NULL,
  state jsonb NOT NULL,
  version bigint NOT NULL,
  touched_at timestamptz NOT NULL,
  PRIMARY KEY (kind, subject)
);
CREATE INDEX softlock_by_touch ON :schema.softlock (touched_at);

-- What each table needs and no more: nobody is deleted by the tenant's login, and what was granted or accepted stays.
GRANT USAGE ON SCHEMA :schema TO :role;
GRANT SELECT, INSERT ON :schema.person, :schema.role_grant, :schema.password, :schema.totp, :schema.passkey,
  :schema.recovery_code, :schema.session, :schema.invite, :schema.device, :schema.ceremony, :schema.softlock TO :role;
GRANT UPDATE (login_token, sealed_login, sealed_name, patient, practitioner, activated_at, suspended_at, left_at)
  ON :schema.person TO :role;
GRANT UPDATE (revoked_at) ON :schema.role_grant TO :role;
GRANT UPDATE (phc, changed_at) ON :schema.password TO :role;
GRANT UPDATE (confirmed_at, last_step) ON :schema.totp TO :role;
GRANT UPDATE (name, data, backup_state, counter, last_used_at) ON :schema.passkey TO :role;
GRANT UPDATE (used_at) ON :schema.recovery_code TO :role;
GRANT UPDATE (token_hash, state, detail, aal, created_at, last_seen_at, factor_at, factors, device, revoked_at)
  ON :schema.session TO :role;
GRANT UPDATE (accepted_at, withdrawn_at) ON :schema.invite TO :role;
GRANT UPDATE (name, last_seen_at, revoked_at) ON :schema.device TO :role;
GRANT UPDATE (state, version, touched_at) ON :schema.softlock TO :role;
GRANT DELETE ON :schema.password, :schema.totp, :schema.passkey, :schema.recovery_code, :schema.session,
  :schema.invite, :schema.ceremony, :schema.softlock TO :role;
