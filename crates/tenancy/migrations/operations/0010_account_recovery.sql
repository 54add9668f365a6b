-- Recovery of an account whose person lost all factors: begun by one administrator, approved by another, held for a while,
-- used once with what each of the two handed over.
CREATE TABLE :schema.account_recovery (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  begun_by uuid NOT NULL,
  begun_at timestamptz NOT NULL,
  -- Of the code that the first one hands over, with the id.
  code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
  -- Until then it waits for the second one.
  expires_at timestamptz NOT NULL,
  approved_by uuid,
  approved_at timestamptz,
  -- Of the token in the link that the second one hands over.
  token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32),
  opens_at timestamptz,
  closes_at timestamptz,
  ended_at timestamptz,
  outcome text CHECK (outcome IN ('cancelled', 'rejected', 'completed', 'lapsed')),
  CHECK ((approved_by IS NULL) = (approved_at IS NULL) AND (approved_by IS NULL) = (token_hash IS NULL)
    AND (approved_by IS NULL) = (opens_at IS NULL) AND (approved_by IS NULL) = (closes_at IS NULL)),
  CHECK ((ended_at IS NULL) = (outcome IS NULL)),
  CHECK (outcome <> 'completed' OR approved_by IS NOT NULL),
  -- Two people, neither of whom is the one whose account it is.
  CHECK (begun_by <> person),
  CHECK (approved_by NOT IN (begun_by, person))
);
CREATE UNIQUE INDEX account_recovery_open ON :schema.account_recovery (person) WHERE ended_at IS NULL;

GRANT SELECT, INSERT ON :schema.account_recovery TO :role;
GRANT UPDATE (approved_by, approved_at, token_hash, opens_at, closes_at, ended_at, outcome)
  ON :schema.account_recovery TO :role;

ALTER TABLE :schema.sign_in_settings ADD COLUMN recovery_hold_hours integer NOT NULL DEFAULT 24
  CHECK (recovery_hold_hours BETWEEN 1 AND 720);
GRANT UPDATE (recovery_hold_hours) ON :schema.sign_in_settings TO :role;
