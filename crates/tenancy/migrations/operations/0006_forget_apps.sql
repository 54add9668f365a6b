-- What apps held and cannot use any more is deleted when something new is added, and is found by when it ended.

CREATE INDEX oauth_token_by_expiry ON :schema.oauth_token (expires_at);
CREATE INDEX oauth_launch_by_expiry ON :schema.oauth_launch (expires_at);
CREATE INDEX oauth_grant_by_use ON :schema.oauth_grant (last_used_at);
GRANT DELETE ON :schema.oauth_grant TO :role;
