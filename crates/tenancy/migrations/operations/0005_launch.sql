-- An app that is opened from a chart: the launch belongs to one session, and may be about a visit. No row was written before.

ALTER TABLE :schema.oauth_launch ADD COLUMN session uuid NOT NULL, ADD COLUMN encounter uuid;
ALTER TABLE :schema.oauth_grant ADD COLUMN encounter uuid;
