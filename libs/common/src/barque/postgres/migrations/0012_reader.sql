-- A role that may read and do nothing else, for dashboards. It cannot log in and has no password: members of it do
-- (CREATE ROLE grafana LOGIN IN ROLE barque_reader, with a password of your own). Where the role that migrates may not create
-- roles, an administrator creates `barque_reader` and calls `SELECT grant_reading()`.

CREATE FUNCTION grant_reading() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    here text := current_schema();
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'barque_reader') THEN
        BEGIN
            CREATE ROLE barque_reader NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server did it just now
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role barque_reader was not created: % may not create roles', current_user;
                RETURN false;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO barque_reader', here);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO barque_reader', here);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO barque_reader', here);
    REVOKE SELECT ON node_state FROM barque_reader; -- the nodes' own memory
    RETURN true;
END $$;
SELECT grant_reading();
