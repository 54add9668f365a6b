-- Notices that are old, and devices that were forgotten long ago, are deleted when a session begins, and are found by their time.

CREATE INDEX notice_by_time ON :schema.notice (at);
CREATE INDEX notice_seen_by_time ON :schema.notice (at) WHERE seen_at IS NOT NULL;
CREATE INDEX device_forgotten ON :schema.device (revoked_at) WHERE revoked_at IS NOT NULL;
GRANT DELETE ON :schema.notice, :schema.device TO :role;
