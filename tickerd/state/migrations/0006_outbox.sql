-- What was composed for a sink and is not delivered yet. An id that was sent is kept with its bytes, whatever happens.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    message_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    tried_ns INTEGER,
    due_ns INTEGER NOT NULL,
    aside INTEGER NOT NULL,
    UNIQUE (sink, message_id)
);
CREATE INDEX outbox_in_order ON outbox (sink, aside, id);
CREATE INDEX outbox_by_due ON outbox (sink, due_ns, id);

-- Totals, kept by triggers, so that caps and metrics need no scan; how long each sink has been failing without a break.
CREATE TABLE outbox_sinks (
    sink TEXT NOT NULL PRIMARY KEY,
    messages INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    failing_since_ns INTEGER,
    failures INTEGER NOT NULL DEFAULT 0
);
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    INSERT INTO outbox_sinks (sink, messages, bytes) VALUES (NEW.sink, 1, NEW.size)
        ON CONFLICT (sink) DO UPDATE SET messages = messages + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_sinks SET messages = messages - 1, bytes = bytes - OLD.size WHERE sink = OLD.sink;
END;
