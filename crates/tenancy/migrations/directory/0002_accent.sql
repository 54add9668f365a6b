-- The colour of a tenant's brand; without one its pages have the product's. Whether it can be read is checked before it gets here.

ALTER TABLE :schema.tenant ADD COLUMN accent text CHECK (accent ~ '^#[0-9a-f]{6}$');
