-- A shorter hold of recoveries takes effect only when the longer one has passed since the change: until then this one counts.
ALTER TABLE :schema.sign_in_settings
  ADD COLUMN longer_hold_hours integer CHECK (longer_hold_hours BETWEEN 1 AND 720),
  ADD COLUMN longer_hold_until timestamptz,
  ADD CONSTRAINT longer_hold_whole CHECK ((longer_hold_hours IS NULL) = (longer_hold_until IS NULL));
GRANT UPDATE (longer_hold_hours, longer_hold_until) ON :schema.sign_in_settings TO :role;
