-- The gate between orders and a halt, a lock per book. Senders share it from the transaction that decides their requests until these
-- are on the wire; whoever changes the halt's row waits until nobody has it, and nobody gets it before that change is committed.

CREATE FUNCTION gate_of(book text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT hashtextextended('gate/' || current_schema() || '/' || book, 0)
$$;

-- The halt's row, read after the gate has been opened: each query of a volatile function sees what is committed when it begins.
-- The lock belongs to the session. It outlives the transaction; its holder gives it back, or its end does.
CREATE FUNCTION open_gate(which text) RETURNS SETOF halts LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_lock_shared(gate_of(which));
    RETURN QUERY SELECT * FROM halts WHERE book = which;
END $$;

CREATE FUNCTION wait_for_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(gate_of(NEW.book));
    RETURN NEW;
END $$;
CREATE TRIGGER halts_wait_for_gate BEFORE INSERT OR UPDATE ON halts FOR EACH ROW EXECUTE FUNCTION wait_for_gate();
