-- Flink lets bids that are as far apart as the gap be in one session; Nexmark's reference does not.
SELECT bidder, COUNT(*), window_start, window_end + INTERVAL '0.001' SECOND
FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '9.999' SECOND))
GROUP BY bidder, window_start, window_end
