CREATE OR REPLACE FUNCTION kit_only_resealed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - TG_ARGV[0] = to_jsonb(OLD) - TG_ARGV[0]
            AND (to_jsonb(NEW) -> TG_ARGV[0] = 'null') = (to_jsonb(OLD) -> TG_ARGV[0] = 'null') THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION '% is only ever inserted into', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$;
CREATE OR REPLACE FUNCTION kit_only_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is only ever inserted into', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$;
CREATE OR REPLACE TRIGGER cards_account_event_only_inserted BEFORE UPDATE OR DELETE ON cards_account_event
    FOR EACH ROW EXECUTE FUNCTION kit_only_resealed('sealed');
CREATE OR REPLACE TRIGGER cards_account_event_never_emptied BEFORE TRUNCATE ON cards_account_event
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE FUNCTION kit_make_month_partition(parent text, month date) RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        child text := parent || to_char(month, '"_"YYYY"_"MM');
        rest text := parent || '_rest';
        start timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'Asia/Shanghai';
        stop timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai';
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('kit_make_month_partition'), hashtext(parent));
        IF to_regclass(quote_ident(child)) IS NOT NULL THEN
            RETURN false;
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
                       child, parent);
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format('WITH moved AS (DELETE FROM %I WHERE at >= %L AND at < %L RETURNING *) '
                       'INSERT INTO %I SELECT * FROM moved', rest, start, stop, child);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, start, stop);
        RETURN true;
    END $$;
CREATE TABLE IF NOT EXISTS cards_code_record_rest PARTITION OF cards_code_record DEFAULT;
SELECT kit_make_month_partition('cards_code_record', (date_trunc('month', now() AT TIME ZONE 'Asia/Shanghai')
        + ahead * interval '1 month')::date) FROM generate_series(0, 3) AS ahead;
CREATE OR REPLACE TRIGGER empi_identifier_domain_version_only_inserted BEFORE UPDATE OR DELETE ON empi_identifier_domain_version
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER empi_identifier_domain_version_never_emptied BEFORE TRUNCATE ON empi_identifier_domain_version
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER empi_decision_only_inserted BEFORE UPDATE OR DELETE ON empi_decision
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER empi_decision_never_emptied BEFORE TRUNCATE ON empi_decision
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_event_only_inserted BEFORE UPDATE OR DELETE ON kit_audit_event
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_event_never_emptied BEFORE TRUNCATE ON kit_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_seal_only_inserted BEFORE UPDATE OR DELETE ON kit_audit_seal
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_seal_never_emptied BEFORE TRUNCATE ON kit_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_transaction_only_inserted BEFORE UPDATE OR DELETE ON payments_ledger_transaction
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_transaction_never_emptied BEFORE TRUNCATE ON payments_ledger_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_entry_only_inserted BEFORE UPDATE OR DELETE ON payments_ledger_entry
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_entry_never_emptied BEFORE TRUNCATE ON payments_ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE FUNCTION payments_ledger_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT coalesce(sum(amount_fen), 0) <> 0 OR count(*) < 2 FROM payments_ledger_entry
            WHERE order_no = NEW.order_no AND movement = NEW.movement) THEN
            RAISE EXCEPTION 'movement % of % does not balance', NEW.movement, NEW.order_no
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NULL;
    END $$;
CREATE CONSTRAINT TRIGGER payments_ledger_transaction_balanced AFTER INSERT ON payments_ledger_transaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_ledger_balanced();
CREATE CONSTRAINT TRIGGER payments_ledger_entry_balanced AFTER INSERT ON payments_ledger_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_ledger_balanced();
CREATE OR REPLACE TRIGGER payments_event_only_inserted BEFORE UPDATE OR DELETE ON payments_event
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_event_never_emptied BEFORE TRUNCATE ON payments_event
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
