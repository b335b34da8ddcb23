INSERT INTO dead_letters (sink, epoch, seq, kind, symbol, instrument, message_id, reason, attempts, first_ns, last_ns,
    response, payload, payload_form, size, redrive_requested_ns) VALUES
    ('archive', 3, 7, 'tick', 'NSE:INFY', '{}', NULL, 'no room', 1, 1, 2, x'', x'7b7d', 'json', 300, NULL),
    ('archive', 3, 8, 'gap', NULL, NULL, 'msg_1', '410 Gone', 9, 1, 2, x'676f6e65', NULL, 'json', 250, 5);
UPDATE dead_letter_sinks SET removed = 4;
