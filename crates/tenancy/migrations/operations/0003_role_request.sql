-- Roles that one person alone cannot give: asked for by one, decided by another, or by whoever operates the platform.
CREATE TABLE :schema.role_request (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES :schema.person (id) ON DELETE CASCADE,
  role text NOT NULL,
  requested_by uuid NOT NULL,
  requested_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  decided_at timestamptz,
  approved boolean,
  -- Nobody of the tenant: the platform's operator.
  decided_by uuid,
  CHECK ((decided_at IS NULL) = (approved IS NULL)),
  CHECK (decided_by IS NULL OR decided_at IS NOT NULL),
  -- Four eyes, of which none are those of the person who gets the role.
  CHECK (decided_by NOT IN (requested_by, person))
);
CREATE UNIQUE INDEX role_request_open ON :schema.role_request (person, role) WHERE decided_at IS NULL;

GRANT SELECT, INSERT ON :schema.role_request TO :role;
GRANT UPDATE (decided_at, approved, decided_by) ON :schema.role_request TO :role;
