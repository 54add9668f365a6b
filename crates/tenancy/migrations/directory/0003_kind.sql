-- Whose people a tenant has (ADR 12). The platform's own tenant belongs to no partner; a partner has one of its own at most.

ALTER TABLE :schema.tenant ADD COLUMN kind text NOT NULL DEFAULT 'clinic' CHECK (kind IN ('clinic', 'partner', 'platform'));
ALTER TABLE :schema.tenant ALTER COLUMN partner DROP NOT NULL;
ALTER TABLE :schema.tenant ADD CONSTRAINT tenant_partner CHECK ((partner IS NULL) = (kind = 'platform'));
CREATE UNIQUE INDEX tenant_of_partner ON :schema.tenant (partner) WHERE kind = 'partner';
CREATE UNIQUE INDEX tenant_of_platform ON :schema.tenant (kind) WHERE kind = 'platform';
