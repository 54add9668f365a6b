-- One administrator alone does not decide whose word about two factors is believed. Argued in docs/adr/0011-federation.md.

ALTER TABLE :schema.identity_provider
  -- The second person who agreed, and when: until then the provider's word is one factor at most.
  ADD COLUMN agreed_by uuid,
  ADD COLUMN agreed_at timestamptz,
  ADD CHECK ((agreed_by IS NULL) = (agreed_at IS NULL));

ALTER TABLE :schema.notice DROP CONSTRAINT notice_kind_check;
ALTER TABLE :schema.notice ADD CONSTRAINT notice_kind_check
  CHECK (kind IN ('new_device', 'factor_added', 'factor_removed', 'recovery_codes_made', 'recovery_code_used',
    'app_allowed', 'role_given', 'role_taken', 'recovery_begun', 'recovery_approved', 'recovery_ended',
    'devices_cleared', 'settings_changed', 'provider_linked', 'provider_changed', 'provider_agreed',
    'provisioning_token_made', 'provisioning_token_stopped'));
