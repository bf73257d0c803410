-- Make running jobs ready again, or end them: as cancelled where that was asked for, as failed where all lives are spent. The
-- caller holds the rows. attempts: how many of each job's attempts to give back. Wakes and announces,
-- and wakes other locks in the same go: taking advisory locks twice would take them out of order.
create or replace function give_back(ids bigint[], attempts integer, at timestamptz, other_locks bigint[] default null)
returns table (id bigint, state text)
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    stopped bigint[];
    spent bigint[];
    freed bigint[];
    awake text[];
begin
    select
        coalesce(array_agg(j.id) filter (where j.cancel_requested_at is not null), '{}'),
        coalesce(array_agg(j.id) filter (where j.cancel_requested_at is null and j.losses >= j.max_losses), '{}')
    into stopped, spent from jobs j where j.id = any (give_back.ids);
    freed := bury(stopped, 'cancelled', null, give_back.at) || bury(spent, 'failed', null, give_back.at);
    with ready as (
        update jobs j set state = 'ready', scheduled_at = give_back.at, attempt = j.attempt - give_back.attempts, worker = null,
            started_at = null
        where j.id = any (give_back.ids)
        returning j.queue, j.lock_key
    )
    select array_agg(distinct r.queue), freed || array_agg(r.lock_key) filter (where r.lock_key is not null)
    into awake, freed from ready r;
    perform announce(awake);
    perform wake(freed || give_back.other_locks);
    return query
        select g, case when g = any (stopped) then 'cancelled' when g = any (spent) then 'failed' else 'ready' end
        from unnest(give_back.ids) g order by g;
end
$$;
