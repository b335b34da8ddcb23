INSERT INTO outbox (sink, message_id, epoch, seq, kind, body, size, attempts, first_ns, tried_ns, due_ns, aside) VALUES
    ('alerts', 'msg_1', 1, 7, 'feed.gap', x'7B7D', 202, 0, 1000, NULL, 1000, 0),
    ('alerts', 'msg_2', 1, 8, 'order.updated', x'7B7D', 202, 3, 1000, 2000, 9000, 1);
UPDATE outbox_sinks SET failing_since_ns = 2000, failures = 3 WHERE sink = 'alerts';
