-- Who changed what, when and from where.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    when_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    origin TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL
);
CREATE TRIGGER audit_is_never_rewritten BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only added to');
END;
