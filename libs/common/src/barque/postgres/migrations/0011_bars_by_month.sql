-- Bars by month: an old month goes by dropping its table. `bars_default` takes what has no month yet, so an insert never fails.

ALTER TABLE bars RENAME TO bars_before;
ALTER TABLE bars_before RENAME CONSTRAINT bars_pkey TO bars_before_pkey;
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
    seq integer NOT NULL DEFAULT 0,
    PRIMARY KEY (book, lineage, symbol, "interval", price, ts_open_ns, seq)
) PARTITION BY RANGE (ts_open_ns);
CREATE TABLE bars_default PARTITION OF bars DEFAULT;

CREATE FUNCTION month_begins_ns(month date) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT (month - DATE '1970-01-01')::bigint * 86400000000000 $$;

-- The table of the month in which a bar opens; bars that came before it move into it.
CREATE FUNCTION ensure_bars_of_month(at_ns bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', day_of(at_ns))::date;
    name text := 'bars_' || to_char(month, 'YYYY_MM');
    from_ns bigint := month_begins_ns(month);
    to_ns bigint := month_begins_ns((month + INTERVAL '1 month')::date);
BEGIN
    IF to_regclass(name) IS NOT NULL THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('barque.bars'));
    IF to_regclass(name) IS NOT NULL THEN RETURN; END IF;
    EXECUTE format('CREATE TABLE %I (LIKE bars INCLUDING ALL)', name);
    EXECUTE format('WITH moved AS (DELETE FROM bars_default WHERE ts_open_ns >= %s AND ts_open_ns < %s RETURNING *)'
        ' INSERT INTO %I SELECT * FROM moved', from_ns, to_ns, name);
    EXECUTE format('ALTER TABLE bars ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, from_ns, to_ns);
END $$;

-- Forget a book's bars of the months that ended before `before_ns`: a month that nobody else has bars in as a whole table.
-- Returns how many bars went.
CREATE FUNCTION forget_bars(of_book text, before_ns bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    part record;
    gone bigint := 0;
    count bigint;
    others boolean;
    last_month date := date_trunc('month', day_of(before_ns))::date;
BEGIN
    FOR part IN
        SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'bars'::regclass AND c.relname ~ '^bars_\d{4}_\d{2}$'
            AND to_date(substr(c.relname, 6), 'YYYY_MM') < last_month
        ORDER BY 1
    LOOP
        EXECUTE format('SELECT count(*) FILTER (WHERE book = $1), coalesce(bool_or(book <> $1), false) FROM %I', part.name)
            INTO count, others USING of_book;
        IF others THEN
            EXECUTE format('DELETE FROM %I WHERE book = $1', part.name) USING of_book;
        ELSE
            EXECUTE format('DROP TABLE %I', part.name);
        END IF;
        gone := gone + count;
    END LOOP;
    WITH old AS (DELETE FROM bars_default WHERE book = of_book AND ts_open_ns < month_begins_ns(last_month) RETURNING 1)
    SELECT gone + count(*) INTO gone FROM old;
    RETURN gone;
END $$;

SELECT ensure_bars_of_month(at_ns) FROM (SELECT DISTINCT month_begins_ns(date_trunc('month', day_of(ts_open_ns))::date) AS at_ns
    FROM bars_before) months;
INSERT INTO bars (book, lineage, symbol, "interval", price, ts_open_ns, ts_close_ns, open, high, low, close, volume, tick_count, seq)
SELECT book, lineage, symbol, "interval", price, ts_open_ns, ts_close_ns, open, high, low, close, volume, tick_count, seq
FROM bars_before;
DROP TABLE bars_before;
