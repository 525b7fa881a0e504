update landing set told_at = '2026-12-10T00:00:00Z' where state = 'waiting';
