-- API keys. Of a key itself only a digest is kept, under a pepper that is not in this file.
CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    pepper TEXT NOT NULL,
    label TEXT NOT NULL,
    scopes TEXT NOT NULL,
    networks TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER,
    revoked_ns INTEGER,
    last_used_ns INTEGER,
    successor TEXT
);
