-- Why did it trade? Wishes, orders and all that was said of them, kept when the streams have been trimmed. `said` is the whole
-- message; what is asked for by has a column.

CREATE TABLE signals (
    book text NOT NULL,
    lineage text NOT NULL,
    signal_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('Signal', 'CancelRequest', 'ModifyRequest')),
    cause text NOT NULL,
    root text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    ts_event_ns bigint NOT NULL,
    said jsonb NOT NULL,
    PRIMARY KEY (book, lineage, signal_id)
);
CREATE INDEX signals_by_time ON signals (book, lineage, ts_event_ns DESC);

-- As the router decided them; how far each came is in `intents`.
CREATE TABLE orders (
    book text NOT NULL,
    lineage text NOT NULL,
    order_id text NOT NULL,
    account text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    cause text NOT NULL,
    root text NOT NULL,
    parent_id text,
    ts_event_ns bigint NOT NULL,
    said jsonb NOT NULL,
    PRIMARY KEY (book, lineage, order_id)
);
CREATE INDEX orders_by_cause ON orders (book, lineage, cause);
CREATE INDEX orders_by_parent ON orders (book, lineage, parent_id) WHERE parent_id IS NOT NULL;

-- What was asked about an order after it was decided, and what the broker said of it, in that order.
CREATE TABLE order_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book text NOT NULL,
    lineage text NOT NULL,
    order_id text NOT NULL,
    event text NOT NULL,
    ts_event_ns bigint NOT NULL,
    said jsonb NOT NULL
);
CREATE INDEX order_events_by_order ON order_events (book, lineage, order_id, id);

-- Comparisons of a broker's books with ours, each as its sender reported it.
CREATE TABLE reconciliations (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    ts_event_ns bigint NOT NULL,
    severity text NOT NULL,
    discrepancies text[] NOT NULL,
    PRIMARY KEY (book, lineage, account, ts_event_ns)
);
