-- A broker's figures of an account, as its sender saw them last. Profit of the day, and what of it is unrealised: null where it does not say.

CREATE TABLE broker_accounts (
    book text NOT NULL,
    lineage text NOT NULL,
    account text NOT NULL,
    ts_event_ns bigint NOT NULL,
    currency text NOT NULL,
    cash numeric NOT NULL,
    equity numeric NOT NULL,
    buying_power numeric NOT NULL,
    daily_pnl numeric,
    unrealised_pnl numeric,
    realised_pnl numeric,
    PRIMARY KEY (book, lineage, account)
);
