INSERT INTO keys VALUES (
    'AbCdEf012345', 'live', zeroblob(32), '0123abcd', 'charts', '["ticks:read"]', '["10.0.0.0/8"]',
    '{"rates":{"subscriptions":"60/minute"},"connections":4}', 1, 2, NULL, NULL, 'AbCdEf012346'
);
