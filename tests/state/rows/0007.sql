INSERT INTO endpoints VALUES ('pager', 'https://x.example/hook', '{"events":["gap"]}', 'whsec_bmV3', '[{"secret":"whsec_b2xk","until_ns":2}]', 1, 'uid 0');
