-- Cash that comes and goes without a trade: deposits, interest, dividends, what a broker charges. One row per account and reference.

CREATE TABLE cash_adjustments (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    reference text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('deposit', 'withdrawal', 'interest', 'dividend', 'financing', 'fee', 'tax', 'reconciliation')),
    currency text NOT NULL,
    amount numeric NOT NULL CHECK (amount <> 0),
    ts_event_ns bigint NOT NULL,
    source text NOT NULL CHECK (source IN ('control', 'sender')),
    command_id text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (book, lineage, account, reference)
);
CREATE INDEX cash_adjustments_by_time ON cash_adjustments (book, lineage, ts_event_ns DESC);

ALTER TABLE journal DROP CONSTRAINT journal_kind_check;
ALTER TABLE journal ADD CONSTRAINT journal_kind_check CHECK (kind IN ('opening', 'fill', 'reversal', 'rebooking',
    'deposit', 'withdrawal', 'interest', 'dividend', 'financing', 'fee', 'tax', 'reconciliation')) NOT VALID;
ALTER TABLE journal DROP CONSTRAINT journal_ledger_check;
ALTER TABLE journal ADD CONSTRAINT journal_ledger_check CHECK (ledger IN ('capital', 'cash', 'instrument', 'margin', 'realised_pnl',
    'fees', 'interest', 'dividends', 'financing', 'charges', 'taxes', 'reconciliation')) NOT VALID;

-- Deposits less withdrawals since the book began, in the account's currency. They are part of the equity and no profit: the peak moves
-- with them, so the drawdown does not.
ALTER TABLE equity ADD COLUMN flows numeric NOT NULL DEFAULT 0;
ALTER TABLE days ADD COLUMN first_flows numeric NOT NULL DEFAULT 0, ADD COLUMN last_flows numeric NOT NULL DEFAULT 0;

CREATE OR REPLACE VIEW daily_statistics AS
SELECT d.book, d.lineage, d.account, d.day, d.currency, d.first_equity, d.highest_equity, d.lowest_equity, d.last_equity,
    d.last_equity - d.last_flows - coalesce(
        lag(d.last_equity - d.last_flows) OVER (PARTITION BY d.book, d.lineage, d.account ORDER BY d.day),
        d.first_equity - d.first_flows) AS profit,
    d.largest_drawdown, coalesce(f.fills, 0) AS fills, coalesce(f.winners, 0) AS winners, coalesce(f.losers, 0) AS losers,
    d.last_flows - coalesce(lag(d.last_flows) OVER (PARTITION BY d.book, d.lineage, d.account ORDER BY d.day), 0) AS flows
FROM days d LEFT JOIN (
    SELECT book, lineage, account, day_of(place_ns) AS day, count(*) AS fills, count(*) FILTER (WHERE realised_pnl > 0) AS winners,
        count(*) FILTER (WHERE realised_pnl < 0) AS losers
    FROM fills WHERE state = 'booked' GROUP BY book, lineage, account, day_of(place_ns)
) f USING (book, lineage, account, day);
