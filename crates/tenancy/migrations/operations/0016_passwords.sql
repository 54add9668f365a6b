-- Whether people may sign in by password; a tenant may do without.
ALTER TABLE :schema.sign_in_settings ADD COLUMN passwords boolean NOT NULL DEFAULT true;
GRANT UPDATE (passwords) ON :schema.sign_in_settings TO :role;
