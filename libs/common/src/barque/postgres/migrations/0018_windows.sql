-- What a sender with a wire remembers of orders that have ended and of executions, an entry a row: a transaction writes those that
-- have changed. `number` is their order, the newest highest.

CREATE TABLE node_windows (
    book text NOT NULL,
    lineage text NOT NULL,
    node text NOT NULL,
    part text NOT NULL CHECK (part IN ('finished', 'executions')),
    key text NOT NULL,
    number bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (book, lineage, node, part, key)
);
