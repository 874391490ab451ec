-- All events, of which bids, auctions and persons are views. Each subtask makes its events in the order of their times.
CREATE TEMPORARY TABLE events (
    kind INT,
    person ROW<id BIGINT, name STRING, email STRING, card STRING, city STRING, state STRING, ts TIMESTAMP(3), extra STRING>,
    auction ROW<id BIGINT, item STRING, description STRING, initialBid BIGINT, reserve BIGINT, ts TIMESTAMP(3),
        expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra STRING>,
    bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3), extra STRING>,
    ts AS CASE kind WHEN 0 THEN person.ts WHEN 1 THEN auction.ts ELSE bid.ts END,
    WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND
) WITH ('connector' = 'nexmark', 'events' = '${events}', 'rate' = '${rate}');

CREATE TEMPORARY VIEW person AS
SELECT person.id, person.name, person.city, person.state, ts FROM events WHERE kind = 0;

CREATE TEMPORARY VIEW auction AS
SELECT auction.id, auction.expires, auction.seller, auction.category, ts FROM events WHERE kind = 1;

CREATE TEMPORARY VIEW bid AS
SELECT bid.auction, bid.bidder, bid.price, ts, bid.extra FROM events WHERE kind = 2;
