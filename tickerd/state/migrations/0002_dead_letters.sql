-- What a sink refused for good. AUTOINCREMENT: an id that a person saw never comes to mean another letter.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    symbol TEXT,
    instrument BLOB,
    message_id TEXT,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    response BLOB NOT NULL,
    payload BLOB,
    payload_form TEXT NOT NULL,
    size INTEGER NOT NULL,
    redrive_requested_ns INTEGER,
    UNIQUE (sink, epoch, seq)
);
CREATE INDEX dead_letters_by_sink ON dead_letters (sink, id);
CREATE INDEX dead_letters_to_redrive ON dead_letters (sink, epoch, seq) WHERE redrive_requested_ns IS NOT NULL;

-- Totals, kept by triggers, so that caps and metrics need no scan; "removed" is what the caps have cost.
CREATE TABLE dead_letter_sinks (
    sink TEXT NOT NULL PRIMARY KEY,
    letters INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
);
CREATE TRIGGER dead_letters_added AFTER INSERT ON dead_letters BEGIN
    INSERT INTO dead_letter_sinks (sink, letters, bytes) VALUES (NEW.sink, 1, NEW.size)
        ON CONFLICT (sink) DO UPDATE SET letters = letters + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER dead_letters_resized AFTER UPDATE OF size ON dead_letters BEGIN
    UPDATE dead_letter_sinks SET bytes = bytes + NEW.size - OLD.size WHERE sink = NEW.sink;
END;
CREATE TRIGGER dead_letters_dropped AFTER DELETE ON dead_letters BEGIN
    UPDATE dead_letter_sinks SET letters = letters - 1, bytes = bytes - OLD.size WHERE sink = OLD.sink;
END;
