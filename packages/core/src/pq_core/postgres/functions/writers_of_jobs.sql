-- Which of these open transactions may have changed jobs, or have rows of it in hand. Part of fetch.
--
-- Whoever writes to a table, or locks its rows, has taken a lock on the table before, and holds it until the end of the transaction. A
-- transaction without one has left nothing in jobs that may come to light: what it stores later gets a new id, and what it makes ready
-- later a new number, see risen_number().
create or replace function writers_of_jobs(open_transactions bigint[])
returns bigint[]
language plpgsql
as $$
declare
    writers text[];
begin
    with held as materialized (
        select l.virtualtransaction, l.locktype, l.transactionid from pg_locks l
        where l.granted and l.pid is distinct from pg_backend_pid()
            and (l.locktype = 'transactionid' and l.mode = 'ExclusiveLock'
                or l.relation = 'jobs'::regclass and l.mode <> 'AccessShareLock'
                    and l.database = (select d.oid from pg_database d where d.datname = current_database()))
    )
    select array_agg(x.transactionid::text) into writers
    from held x
    where x.locktype = 'transactionid'
        and x.virtualtransaction = any (array(select w.virtualtransaction from held w where w.locktype = 'relation'));
    -- Locks name the lower half of a transaction's number.
    return array(select n from unnest(open_transactions) n where (n & 4294967295)::text = any (writers));
end
$$;
