INSERT INTO runtime (namespace, key, value, updated_ns) VALUES ('subscriptions', 'NSE:INFY', '"full"', 1);
