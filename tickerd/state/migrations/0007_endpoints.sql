-- Webhooks that were registered at run time, with the secrets that sign for them: they have to be had back in clear.
CREATE TABLE endpoints (
    name TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    options TEXT NOT NULL,
    secret TEXT NOT NULL,
    old_secrets TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    created_by TEXT NOT NULL
);
