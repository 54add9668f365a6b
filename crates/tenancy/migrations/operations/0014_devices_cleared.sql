-- Somebody who lost all confirmed devices, where they are required: an administrator takes the confirmation back, and the next
-- one is confirmed as the first one was. Since when that is awaited.
ALTER TABLE :schema.person ADD COLUMN devices_cleared_at timestamptz;
GRANT UPDATE (devices_cleared_at) ON :schema.person TO :role;

ALTER TABLE :schema.notice DROP CONSTRAINT notice_kind_check;
ALTER TABLE :schema.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ('new_device', 'factor_added', 'factor_removed',
  'recovery_codes_made', 'recovery_code_used', 'app_allowed', 'role_given', 'role_taken', 'recovery_begun', 'recovery_approved',
  'recovery_ended', 'devices_cleared', 'settings_changed'));
