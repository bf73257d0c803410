-- What keeps vacuum from removing dead rows of this database: sessions with a snapshot or a transaction, prepared transactions,
-- replication slots, standbys; the one first that holds most back. Ages by the real clock; null where the role may not see it.
create or replace function vacuum_pins()
returns table (
    kind text, name text, pid integer, role text, state text, seconds double precision, transactions bigint
)
language sql volatile
as $$
    select
        case a.backend_type when 'walsender' then 'standby' else 'session' end, nullif(a.application_name, ''), a.pid, a.usename::text,
        a.state, extract(epoch from clock_timestamp() - a.xact_start)::double precision,
        greatest(age(a.backend_xmin), age(a.backend_xid))::bigint
    from pg_stat_activity a
    where (a.backend_xmin is not null or a.backend_xid is not null) and a.pid <> pg_backend_pid()
        and (a.datname = current_database() or a.backend_type = 'walsender')
        and a.backend_type is distinct from 'autovacuum worker' and a.backend_type is distinct from 'parallel worker'
    union all
    select 'prepared transaction', p.gid, null, p.owner::text, null,
        extract(epoch from clock_timestamp() - p.prepared)::double precision, age(p.transaction)::bigint
    from pg_prepared_xacts p where p.database = current_database()
    union all
    select 'replication slot', s.slot_name::text, s.active_pid, null, case when s.active then 'active' else 'inactive' end, null,
        age(s.xmin)::bigint
    from pg_replication_slots s where s.xmin is not null
    order by 7 desc nulls last, 6 desc nulls last
$$;
