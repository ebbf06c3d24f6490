CREATE OR REPLACE FUNCTION kit_only_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is only ever inserted into', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$;
CREATE OR REPLACE TRIGGER kit_audit_event_only_inserted BEFORE UPDATE OR DELETE ON kit_audit_event
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_event_never_emptied BEFORE TRUNCATE ON kit_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_seal_only_inserted BEFORE UPDATE OR DELETE ON kit_audit_seal
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER kit_audit_seal_never_emptied BEFORE TRUNCATE ON kit_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_event_only_inserted BEFORE UPDATE OR DELETE ON payments_event
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_event_never_emptied BEFORE TRUNCATE ON payments_event
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_transaction_only_inserted BEFORE UPDATE OR DELETE ON payments_ledger_transaction
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_transaction_never_emptied BEFORE TRUNCATE ON payments_ledger_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_entry_only_inserted BEFORE UPDATE OR DELETE ON payments_ledger_entry
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_ledger_entry_never_emptied BEFORE TRUNCATE ON payments_ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_alarm_only_inserted BEFORE UPDATE OR DELETE ON payments_alarm
    FOR EACH ROW EXECUTE FUNCTION kit_only_inserted();
CREATE OR REPLACE TRIGGER payments_alarm_never_emptied BEFORE TRUNCATE ON payments_alarm
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
