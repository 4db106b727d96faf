-- What has been retired: rows of a table that were older than they are to be kept. The answers to "why did it trade?" and "are the
-- tables right?" say so.

CREATE TABLE retired (
    book text NOT NULL,
    lineage text NOT NULL,
    name text NOT NULL,
    before_ns bigint NOT NULL,
    gone bigint NOT NULL,
    PRIMARY KEY (book, lineage, name)
);
CREATE INDEX orders_by_time ON orders (book, lineage, ts_event_ns);
CREATE INDEX order_events_by_time ON order_events (book, lineage, ts_event_ns);
