-- The books whole: what became of each fill, FIFO lots, a journal in double entry, valuations, drawdown and days.
-- Where there were fills before this migration, `barque books rebuild --write` fills in the rest.

-- Of each execution: the order in which it was booked, its place among the executions of its position (a correction has the
-- place of what it corrects), whether it counts, and the position after it.
ALTER TABLE fills
    ADD COLUMN corrects text NOT NULL DEFAULT '',
    ADD COLUMN state text NOT NULL DEFAULT 'booked' CHECK (state IN ('booked', 'replaced', 'waiting', 'unbooked')),
    ADD COLUMN replaced_by text NOT NULL DEFAULT '',
    ADD COLUMN booked_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN place_ns bigint NOT NULL DEFAULT 0,
    ADD COLUMN place_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN position_quantity numeric,
    ADD COLUMN position_cost numeric;
UPDATE fills SET booked_seq = old.seq, place_ns = fills.ts_event_ns, place_seq = old.seq
FROM (SELECT book, lineage, account, exec_id, row_number() OVER (PARTITION BY book, lineage ORDER BY ts_event_ns, exec_id) AS seq
    FROM fills) old
WHERE (fills.book, fills.lineage, fills.account, fills.exec_id) = (old.book, old.lineage, old.account, old.exec_id);
CREATE INDEX fills_by_place ON fills (book, lineage, account, strategy_id, symbol, place_ns, place_seq) WHERE state = 'booked';
CREATE INDEX fills_by_correction ON fills (book, lineage, account, corrects) WHERE corrects <> '';
CREATE INDEX fills_by_booking ON fills (book, lineage, booked_seq);
CREATE INDEX fills_by_order ON fills (book, lineage, order_id);
CREATE INDEX executions_by_order ON executions (book, lineage, order_id);

ALTER TABLE positions
    ADD COLUMN cost numeric NOT NULL DEFAULT 0,
    ADD COLUMN fifo_realised_pnl numeric NOT NULL DEFAULT 0;

-- First in, first out: what each fill opened, and what closed it.
CREATE TABLE lots (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    exec_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    place_ns bigint NOT NULL,
    place_seq bigint NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    open_quantity numeric NOT NULL,
    closed_ns bigint,
    closed_seq bigint,
    PRIMARY KEY (book, lineage, account, exec_id)
);
CREATE INDEX lots_by_place ON lots (book, lineage, account, strategy_id, symbol, place_ns, place_seq);
CREATE INDEX lots_open ON lots (book, lineage, account, strategy_id, symbol) WHERE closed_ns IS NULL;
CREATE INDEX lots_by_close ON lots (book, lineage, account, strategy_id, symbol, closed_ns);

CREATE TABLE lot_closings (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    lot_exec_id text NOT NULL,
    exec_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    place_ns bigint NOT NULL,
    place_seq bigint NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > 0),
    realised_pnl numeric NOT NULL,
    PRIMARY KEY (book, lineage, account, lot_exec_id, exec_id)
);
CREATE INDEX lot_closings_by_place ON lot_closings (book, lineage, account, strategy_id, symbol, place_ns, place_seq);

-- Double entry, only added to: a correction is a reversal and a new booking. `entry` is the execution whose arrival led to the
-- posting (or `opening`), `exec_id` the one that it is about; debits are positive.
CREATE TABLE journal (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    entry text NOT NULL,
    line integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opening', 'fill', 'reversal', 'rebooking')),
    exec_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    ledger text NOT NULL CHECK (ledger IN ('capital', 'cash', 'instrument', 'margin', 'realised_pnl', 'fees')),
    currency text NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (book, lineage, account, entry, line)
);

CREATE FUNCTION journal_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE off record;
BEGIN
    SELECT account, entry, currency, sum(amount) AS amount INTO off
    FROM added GROUP BY book, lineage, account, entry, currency HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % of account % does not balance: % % are over', off.entry, off.account, off.amount,
            off.currency USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_balances AFTER INSERT ON journal REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION journal_balances();

CREATE FUNCTION journal_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('barque.rebuilding', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'the journal is only added to; a correction is a reversal and a new booking'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_only_added_to();

-- What open positions are worth at the latest valuation of their account, and the prices it went by.
CREATE TABLE valuations (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    ts_event_ns bigint NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    currency text NOT NULL,
    unrealised_pnl numeric NOT NULL,
    base_currency text NOT NULL,
    unrealised_pnl_base numeric NOT NULL,
    realised_pnl_base numeric NOT NULL,
    PRIMARY KEY (book, lineage, account, strategy_id, symbol)
);
CREATE TABLE marks (
    book text NOT NULL,
    lineage text NOT NULL,
    symbol text NOT NULL,
    ts_event_ns bigint NOT NULL,
    price numeric NOT NULL,
    PRIMARY KEY (book, lineage, symbol)
);

-- The highest equity so far, and how far below it the account is.
ALTER TABLE equity ADD COLUMN peak numeric;
UPDATE equity SET peak = old.peak FROM (
    SELECT book, lineage, account, ts_event_ns,
        max(equity) OVER (PARTITION BY book, lineage, account ORDER BY ts_event_ns) AS peak FROM equity
) old WHERE (equity.book, equity.lineage, equity.account, equity.ts_event_ns)
    = (old.book, old.lineage, old.account, old.ts_event_ns);
ALTER TABLE equity ADD COLUMN drawdown numeric GENERATED ALWAYS AS (peak - equity) STORED;

-- One row per account and day (UTC).
CREATE TABLE days (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    first_equity numeric NOT NULL,
    highest_equity numeric NOT NULL,
    lowest_equity numeric NOT NULL,
    last_equity numeric NOT NULL,
    largest_drawdown numeric NOT NULL,
    last_ts_ns bigint NOT NULL,
    PRIMARY KEY (book, lineage, account, day)
);
CREATE FUNCTION day_of(ts_ns bigint) RETURNS date LANGUAGE sql IMMUTABLE AS
    $$ SELECT DATE '1970-01-01' + (ts_ns / 86400000000000)::integer $$;
INSERT INTO days SELECT book, lineage, account, day_of(ts_event_ns), (array_agg(currency ORDER BY ts_event_ns DESC))[1],
    (array_agg(equity ORDER BY ts_event_ns))[1], max(equity), min(equity), (array_agg(equity ORDER BY ts_event_ns DESC))[1],
    max(drawdown), max(ts_event_ns)
FROM equity GROUP BY book, lineage, account, day_of(ts_event_ns);

-- For people and dashboards.
CREATE VIEW account_positions AS
SELECT book, lineage, account, symbol, sum(quantity) AS quantity, sum(cost) AS cost, sum(realised_pnl) AS realised_pnl,
    sum(fifo_realised_pnl) AS fifo_realised_pnl, sum(commission) AS commission, min(currency) AS currency,
    max(ts_event_ns) AS ts_event_ns
FROM positions GROUP BY book, lineage, account, symbol;

CREATE VIEW trial_balance AS
SELECT book, lineage, account, ledger, currency, sum(amount) AS amount
FROM journal GROUP BY book, lineage, account, ledger, currency;

CREATE VIEW commissions AS
SELECT book, lineage, account, strategy_id, symbol, commission_currency AS currency, day_of(place_ns) AS day,
    sum(commission) AS commission, count(*) AS fills
FROM fills WHERE state = 'booked' GROUP BY book, lineage, account, strategy_id, symbol, commission_currency, day_of(place_ns);

-- Profit as the account's equity shows it, and the day's trading by count.
CREATE VIEW daily_statistics AS
SELECT d.book, d.lineage, d.account, d.day, d.currency, d.first_equity, d.highest_equity, d.lowest_equity, d.last_equity,
    d.last_equity - coalesce(lag(d.last_equity) OVER (PARTITION BY d.book, d.lineage, d.account ORDER BY d.day),
        d.first_equity) AS profit,
    d.largest_drawdown, coalesce(f.fills, 0) AS fills, coalesce(f.winners, 0) AS winners, coalesce(f.losers, 0) AS losers
FROM days d LEFT JOIN (
    SELECT book, lineage, account, day_of(place_ns) AS day, count(*) AS fills, count(*) FILTER (WHERE realised_pnl > 0) AS winners,
        count(*) FILTER (WHERE realised_pnl < 0) AS losers
    FROM fills WHERE state = 'booked' GROUP BY book, lineage, account, day_of(place_ns)
) f USING (book, lineage, account, day);
