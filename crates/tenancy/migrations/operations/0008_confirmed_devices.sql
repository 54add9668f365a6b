-- Devices that their person has confirmed, and whether the tenant asks for such a one where health data is concerned.
ALTER TABLE :schema.device ADD COLUMN confirmed_at timestamptz;
ALTER TABLE :schema.sign_in_settings ADD COLUMN confirmed_devices boolean NOT NULL DEFAULT false;

GRANT UPDATE (confirmed_at) ON :schema.device TO :role;
GRANT UPDATE (confirmed_devices) ON :schema.sign_in_settings TO :role;
