-- Signing in by a tenant's own identity provider (OpenID Connect). Argued in docs/adr/0011-federation.md.

CREATE TABLE :schema.identity_provider (
  single boolean PRIMARY KEY CHECK (single),
  -- What the secret is sealed for; another one each time that something is changed.
  id uuid NOT NULL,
  issuer text NOT NULL,
  client_id text NOT NULL,
  label text NOT NULL,
  subject_claim text NOT NULL,
  -- Words of the provider that mean two factors.
  amr jsonb NOT NULL,
  acr jsonb NOT NULL,
  -- Without one the tenant signs with its own key.
  sealed_secret bytea,
  changed_by uuid NOT NULL,
  changed_at timestamptz NOT NULL
);

-- Who somebody is at a provider.
CREATE TABLE :schema.federated_account (
  person uuid PRIMARY KEY REFERENCES :schema.person (id) ON DELETE CASCADE,
  -- Blind, of issuer and subject.
  subject_token bigint NOT NULL,
  sealed_subject bytea NOT NULL,
  linked_at timestamptz NOT NULL,
  -- When the person proved a factor of their own beside it: until then it is worth nothing by itself.
  confirmed_at timestamptz,
  -- In which session that is to happen.
  session uuid
);
CREATE UNIQUE INDEX federated_account_by_subject ON :schema.federated_account (subject_token)
  WHERE confirmed_at IS NOT NULL;

ALTER TABLE :schema.ceremony DROP CONSTRAINT ceremony_kind_check;
ALTER TABLE :schema.ceremony ADD CONSTRAINT ceremony_kind_check
  CHECK (kind IN ('registration', 'authentication', 'discoverable', 'federation'));

ALTER TABLE :schema.notice DROP CONSTRAINT notice_kind_check;
ALTER TABLE :schema.notice ADD CONSTRAINT notice_kind_check
  CHECK (kind IN ('new_device', 'factor_added', 'factor_removed', 'recovery_codes_made', 'recovery_code_used',
    'app_allowed', 'role_given', 'role_taken', 'recovery_begun', 'recovery_approved', 'recovery_ended',
    'devices_cleared', 'settings_changed', 'provider_linked', 'provider_changed'));

GRANT SELECT, INSERT, UPDATE, DELETE ON :schema.identity_provider, :schema.federated_account TO :role;
