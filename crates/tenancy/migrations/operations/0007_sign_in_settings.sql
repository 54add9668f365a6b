-- What the tenant decided about the ways in; no row: nothing beyond what the platform demands.
CREATE TABLE :schema.sign_in_settings (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  -- Which passkeys each role may use.
  passkeys jsonb NOT NULL,
  -- Makers and models of authenticators that count as attested.
  makers jsonb NOT NULL,
  changed_by uuid NOT NULL,
  changed_at timestamptz NOT NULL
);

GRANT SELECT, INSERT ON :schema.sign_in_settings TO :role;
GRANT UPDATE (passkeys, makers, changed_by, changed_at) ON :schema.sign_in_settings TO :role;
