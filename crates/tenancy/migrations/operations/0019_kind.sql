-- Whose people these are (ADR 12): roles count where they belong, and outside of clinics nobody has a patient's account, or a way in
-- but a passkey. ':kind' is the tenant's, and never changes.

ALTER TABLE :schema.role_grant ADD CONSTRAINT role_grant_kind CHECK (CASE ':kind'
  WHEN 'clinic' THEN role NOT IN ('platform_operator', 'partner_admin')
  WHEN 'partner' THEN role IN ('partner_admin', 'tenant_admin', 'privacy_officer', 'auditor')
  ELSE role IN ('platform_operator', 'tenant_admin', 'privacy_officer', 'auditor')
END);
ALTER TABLE :schema.person ADD CONSTRAINT person_kind CHECK (':kind' = 'clinic' OR (audience = 'staff' AND patient IS NULL));
DO $$ BEGIN
  IF ':kind' <> 'clinic' THEN
    REVOKE INSERT ON :schema.password, :schema.totp, :schema.recovery_code, :schema.identity_provider,
      :schema.federated_account, :schema.provisioning_token, :schema.oauth_client FROM :role;
  END IF;
END $$;
