-- What happened to an account, for its person to see. Words of the product and ids, never health data.
CREATE TABLE :schema.notice (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('new_device', 'factor_added', 'factor_removed', 'recovery_codes_made',
    'recovery_code_used', 'app_allowed', 'role_given', 'role_taken', 'recovery_begun', 'recovery_approved',
    'recovery_ended')),
  -- Which factor, role, app or device.
  about text,
  at timestamptz NOT NULL,
  seen_at timestamptz
);
CREATE INDEX notice_by_person ON :schema.notice (person, id);

GRANT SELECT, INSERT ON :schema.notice TO :role;
GRANT UPDATE (seen_at) ON :schema.notice TO :role;
