-- Where each durable unit stands: the last position that its target has acknowledged, and what it keeps beside it.
CREATE TABLE cursors (
    unit TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL CHECK (typeof(epoch) = 'integer'),
    seq INTEGER NOT NULL CHECK (typeof(seq) = 'integer'),
    kept BLOB NOT NULL,
    updated_ns INTEGER NOT NULL
);
