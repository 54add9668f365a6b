-- The control plane: partners, tenants, hosts, wrapped keys, sealed logins. No PHI, ever.

CREATE TABLE :schema.partner (
  id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE :schema.tenant (
  id uuid PRIMARY KEY,
  partner uuid NOT NULL REFERENCES :schema.partner (id),
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  region text NOT NULL,
  -- 'provisioning' until every step below is done, so that nobody is served by half a tenant.
  status text NOT NULL CHECK (status IN ('provisioning', 'active', 'suspended')),
  -- The migrations that its schemas have had; a binary that expects others answers 503.
  clinical_version integer NOT NULL DEFAULT 0,
  operations_version integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE :schema.tenant_host (
  host text PRIMARY KEY CHECK (host = lower(host)),
  tenant uuid NOT NULL REFERENCES :schema.tenant (id)
);

-- Data keys wrapped by the tenant's KMS key: worthless without the key service.
CREATE TABLE :schema.tenant_key (
  tenant uuid NOT NULL REFERENCES :schema.tenant (id),
  purpose text NOT NULL,
  generation integer NOT NULL CHECK (generation >= 1),
  key_ref text NOT NULL,
  wrapped bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, purpose, generation)
);

-- Passwords of the tenant's database logins, sealed under its credential key: no key, no connection.
CREATE TABLE :schema.tenant_login (
  tenant uuid NOT NULL REFERENCES :schema.tenant (id),
  database text NOT NULL CHECK (database IN ('clinical', 'operations')),
  role text NOT NULL UNIQUE,
  sealed_password bytea NOT NULL,
  PRIMARY KEY (tenant, database)
);

-- Gateways listen for changes; the payload is a tenant id and nothing else.
CREATE FUNCTION :schema.announce_change() RETURNS trigger LANGUAGE plpgsql
  SET search_path = :schema, pg_temp AS $$
BEGIN
  PERFORM pg_notify('carekeep_directory', '');
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION :schema.announce_change() FROM PUBLIC;

CREATE TRIGGER tenant_changed AFTER INSERT OR UPDATE OR DELETE ON :schema.tenant
  FOR EACH STATEMENT EXECUTE FUNCTION :schema.announce_change();
CREATE TRIGGER tenant_host_changed AFTER INSERT OR UPDATE OR DELETE ON :schema.tenant_host
  FOR EACH STATEMENT EXECUTE FUNCTION :schema.announce_change();

GRANT USAGE ON SCHEMA :schema TO carekeep_gateway;
GRANT SELECT ON ALL TABLES IN SCHEMA :schema TO carekeep_gateway;
