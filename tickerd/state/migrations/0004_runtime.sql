-- What was changed at run time and shall be there again after a restart.
CREATE TABLE runtime (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_ns INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
);
