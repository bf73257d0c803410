-- After a change to jobs with these locks: wake what may run now. Takes the advisory locks in order, then looks, in a new
-- statement: what a fetch decided on an older state of a lock is seen, and what it decides later sees this change.
--
-- Wakes the head of a lock if it is blocked and nothing of the lock runs, and with it, of each queue, the first blocked mutex
-- job that is in its last life, which an idle worker claims before any other, and the first that is not: a busy worker passes
-- the other over. Jobs of paused tasks stay blocked, and the mutex jobs behind them come first.
create or replace function wake(lock_keys bigint[])
returns void
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off
as $$
#variable_conflict use_column
declare
    held text[];
    due bigint[];
    missed bigint;
begin
    if wake.lock_keys is null or wake.lock_keys = '{}' then
        return;
    end if;
    perform pg_advisory_xact_lock(k.key)
    from (select distinct advisory_key(u) as key from unnest(wake.lock_keys) u order by 1) k;
    held := paused_tasks();

    with recursive idle as materialized (
        select distinct k as lock_key from unnest(wake.lock_keys) k
        -- A scalar, not an anti join: that would read all that runs, and compare each with each.
        where (select r.id from jobs r where r.lock_key = k and r.state = 'running' limit 1) is null
    ), head as (
        select h.id, h.state, h.task from idle i, lateral (
            select j.id, j.state, j.task from jobs j where j.lock_key = i.lock_key order by j.priority desc, j.id limit 1) h
    ), mutex (lock_key, queue, id) as (
        select i.lock_key, f.queue, f.id from idle i, lateral (
            select j.queue, j.id from jobs j
            where j.lock_key = i.lock_key and j.lock_mode = 'mutex' and j.state = 'blocked' and j.losses < j.max_losses - 1
                and j.task <> all (held)
            order by j.queue, j.priority desc, j.id limit 1) f
        union all
        select m.lock_key, f.queue, f.id from mutex m, lateral (
            select j.queue, j.id from jobs j
            where j.lock_key = m.lock_key and j.lock_mode = 'mutex' and j.state = 'blocked' and j.queue > m.queue
                and j.losses < j.max_losses - 1 and j.task <> all (held)
            order by j.queue, j.priority desc, j.id limit 1) f
    ), last_life (lock_key, queue, id) as (
        select i.lock_key, f.queue, f.id from idle i, lateral (
            select j.queue, j.id from jobs j
            where j.lock_key = i.lock_key and j.lock_mode = 'mutex' and j.state = 'blocked' and j.losses >= j.max_losses - 1
                and j.task <> all (held)
            order by j.queue, j.priority desc, j.id limit 1) f
        union all
        select m.lock_key, f.queue, f.id from last_life m, lateral (
            select j.queue, j.id from jobs j
            where j.lock_key = m.lock_key and j.lock_mode = 'mutex' and j.state = 'blocked' and j.queue > m.queue
                and j.losses >= j.max_losses - 1 and j.task <> all (held)
            order by j.queue, j.priority desc, j.id limit 1) f
    )
    select array_agg(d.id) into due from (
        select h.id from head h where h.state = 'blocked' and h.task <> all (held)
        union select m.id from mutex m union select l.id from last_life l) d;
    perform make_ready(due);
    for missed in select j.id from jobs j where j.id = any (due) and (j.state = 'blocked') is true limit 4 loop
        perform insist(missed);
    end loop;
end
$$;
