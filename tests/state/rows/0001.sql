INSERT INTO cursors (unit, epoch, seq, kept, updated_ns) VALUES
    ('sink.archive', 3, 9223372036854775807, x'00ff', 1767584700000000000),
    ('sink.''quoted''', 1, 1, x'', 1);
