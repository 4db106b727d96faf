-- The ledger: what must be true about money, keyed by book and lineage so that no replay meets a live day.
-- Times are bigint nanoseconds UTC, money and quantities numeric, never floating point.

CREATE TABLE books (
    book text PRIMARY KEY,
    lineage text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The position of every node that commits here, in the same transaction as its rows. `outbox` is what it said in the
-- transaction number `outbox_seq`, kept until the next one: the relay publishes it before anything else may follow.
CREATE TABLE node_state (
    book text NOT NULL,
    lineage text NOT NULL,
    node text NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    outbox_seq bigint NOT NULL DEFAULT 0,
    outbox bytea NOT NULL DEFAULT '',
    epoch bigint NOT NULL DEFAULT 0,
    positions jsonb NOT NULL DEFAULT '{}',
    sources jsonb NOT NULL DEFAULT '{}',
    state bytea NOT NULL DEFAULT '',
    PRIMARY KEY (book, lineage, node)
);

-- The halt: this row is the authority; the flag in Redis follows it.
CREATE TABLE halts (
    book text PRIMARY KEY,
    halted boolean NOT NULL,
    command_id text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL
);

CREATE TABLE control_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book text NOT NULL,
    command_id text NOT NULL,
    command text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at_ns bigint NOT NULL,
    UNIQUE (book, command_id)
);

-- Orders that we decided to send, and how far each came. `filled` is the sum of its effective executions.
CREATE TABLE intents (
    book text NOT NULL,
    lineage text NOT NULL,
    order_id text NOT NULL,
    account text NOT NULL,
    strategy_id text NOT NULL,
    signal_id text NOT NULL,
    root text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity numeric NOT NULL CHECK (quantity > 0),
    order_type text NOT NULL,
    limit_price numeric,
    stop_price numeric,
    time_in_force text NOT NULL,
    state text NOT NULL CHECK (state IN ('NEW', 'SENDING', 'ACKED', 'PARTIALLY_FILLED', 'FILLED', 'PENDING_CANCEL',
        'CANCELLED', 'PENDING_MODIFY', 'REJECTED', 'EXPIRED', 'UNKNOWN')),
    detail text NOT NULL DEFAULT '',
    venue_order_id text NOT NULL DEFAULT '',
    filled numeric NOT NULL DEFAULT 0 CHECK (filled >= 0 AND filled <= quantity),
    epoch bigint NOT NULL,
    ts_event_ns bigint NOT NULL,
    updated_ns bigint NOT NULL,
    PRIMARY KEY (book, lineage, order_id)
);
CREATE INDEX intents_by_time ON intents (book, lineage, ts_event_ns DESC);

-- What the broker executed, once per account and execution.
CREATE TABLE executions (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    exec_id text NOT NULL,
    order_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity numeric NOT NULL CHECK (quantity > 0),
    price numeric NOT NULL,
    commission numeric NOT NULL,
    commission_currency text NOT NULL,
    ts_event_ns bigint NOT NULL,
    PRIMARY KEY (book, lineage, account, exec_id)
);

-- The portfolio's books: the same executions as booked, and what follows from them.
CREATE TABLE fills (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    exec_id text NOT NULL,
    order_id text NOT NULL,
    signal_id text NOT NULL,
    root text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    commission numeric NOT NULL,
    commission_currency text NOT NULL,
    realised_pnl numeric NOT NULL,
    currency text NOT NULL,
    ts_event_ns bigint NOT NULL,
    PRIMARY KEY (book, lineage, account, exec_id)
);
CREATE INDEX fills_by_time ON fills (book, lineage, ts_event_ns DESC);

CREATE TABLE positions (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    quantity numeric NOT NULL,
    average_price numeric NOT NULL,
    realised_pnl numeric NOT NULL,
    commission numeric NOT NULL,
    currency text NOT NULL,
    ts_event_ns bigint NOT NULL,
    PRIMARY KEY (book, lineage, account, strategy_id, symbol)
);

CREATE TABLE cash (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    currency text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (book, lineage, account, currency)
);

CREATE TABLE equity (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    ts_event_ns bigint NOT NULL,
    currency text NOT NULL,
    cash numeric NOT NULL,
    equity numeric NOT NULL,
    unrealised_pnl numeric NOT NULL,
    realised_pnl numeric NOT NULL,
    PRIMARY KEY (book, lineage, account, ts_event_ns)
);

CREATE TABLE rejections (
    book text NOT NULL,
    lineage text NOT NULL,
    signal_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    ts_event_ns bigint NOT NULL,
    PRIMARY KEY (book, lineage, signal_id)
);

CREATE TABLE bars (
    book text NOT NULL,
    lineage text NOT NULL,
    symbol text NOT NULL,
    "interval" text NOT NULL,
    price text NOT NULL,
    ts_open_ns bigint NOT NULL,
    ts_close_ns bigint NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    tick_count bigint NOT NULL,
    PRIMARY KEY (book, lineage, symbol, "interval", price, ts_open_ns)
);

-- Seeded from the configuration, so that queries and dashboards can join on them.
CREATE TABLE instruments (
    symbol text PRIMARY KEY,
    asset_class text NOT NULL,
    currency text NOT NULL,
    base_currency text NOT NULL,
    tick_size numeric NOT NULL,
    contract_size numeric NOT NULL,
    quantity_step numeric NOT NULL,
    calendar text NOT NULL
);

CREATE TABLE strategies (
    book text NOT NULL,
    id text NOT NULL,
    strategy text NOT NULL,
    symbols text[] NOT NULL,
    "interval" text NOT NULL,
    params jsonb NOT NULL,
    enabled boolean NOT NULL,
    PRIMARY KEY (book, id)
);
