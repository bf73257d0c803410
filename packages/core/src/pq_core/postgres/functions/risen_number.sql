-- What rows that are made ready, or moved, are marked with: the number of this transaction, or the first that no transaction had when
-- the statement began, whichever is higher. So it is as high as that of any transaction that had ended by then, however long ago this
-- one has begun, and never lower than its own. A frozen snapshot does not know; rows of its transactions are found wherever they are.
create or replace function risen_number()
returns bigint
language sql stable
as $$
    select case when current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
        then greatest(txid_current(), txid_snapshot_xmax(txid_current_snapshot())) else 9223372036854775807 end
$$;
