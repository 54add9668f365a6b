-- Sessions that are long over are deleted when a new one begins, and are found by when they began.

CREATE INDEX session_by_beginning ON :schema.session (created_at);
