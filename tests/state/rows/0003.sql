INSERT INTO audit (when_ns, who, what, origin, before, after) VALUES
    (1, 'uid 1000', 'dlq.drop', 'cli', 'null', '{"sink":"archive"}');
