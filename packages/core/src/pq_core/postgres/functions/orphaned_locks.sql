-- Locks with nothing running and a blocked head or mutex job: nobody may be left who would wake them. Looks at a thousand
-- locks, from a random one on, so that a call stays short and every lock has its turn.
create or replace function orphaned_locks()
returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
begin
    return (
        with recursive start (lock_key) as (
            select ((random() - 0.5) * 18446744073709549568)::numeric::bigint
        ), step (lock_key, place, wrapped) as (
            (select s.lock_key, 0, false from start s)
            union all
            select n.lock_key, s.place + 1, s.wrapped or n.lock_key <= s.lock_key
            from step s, start z, lateral (
                select coalesce(
                    (select j.lock_key from jobs j where j.state = 'blocked' and j.lock_key > s.lock_key order by j.lock_key limit 1),
                    (select j.lock_key from jobs j where j.state = 'blocked' order by j.lock_key limit 1)) as lock_key
            ) n
            where s.place < 1000 and n.lock_key is not null and not (s.wrapped and n.lock_key > z.lock_key)
                and not (s.wrapped and n.lock_key <= s.lock_key)
        )
        select array_agg(distinct s.lock_key) from step s, lateral (
            select j.state from jobs j where j.lock_key = s.lock_key order by j.priority desc, j.id limit 1) h
        where s.place > 0
            and (h.state = 'blocked'
                or exists (select from jobs b where b.lock_key = s.lock_key and b.lock_mode = 'mutex' and b.state = 'blocked'))
            and (select r.id from jobs r where r.lock_key = s.lock_key and r.state = 'running' limit 1) is null
    );
end
$$;
