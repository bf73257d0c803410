-- Make running jobs of a worker that is gone ready again, or end them: as cancelled where that was asked for, or where a waiting
-- job has their unique key by now; as failed where all lives are spent, or where there is only one. The caller holds the rows.
--
-- lost: the worker died, so each job has lost a life; else it has left, and each job gets its attempt back. A job that is
-- delivered at most once never runs again: for it, both are a loss.
-- Returns the jobs, without those whose key another transaction has in hand: they go on as jobs of a worker that is not known,
-- until the next rescue. Wakes and announces, and wakes other locks in the same go: taking advisory locks twice would take
-- them out of order.
create or replace function give_back(ids bigint[], lost boolean, at timestamptz, other_locks bigint[] default null)
returns table (id bigint, state text)
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held bigint[] := give_back.ids;
    keyed bigint[];
    superseded bigint[] := '{}';
    twins bigint[];
    busy bigint[];
    expired bigint[];
    stopped bigint[];
    spent bigint[];
    freed bigint[];
    awake text[];
    told bigint[];
begin
    perform check_times(give_back.at, null);
    keyed := array(
        select j.id from jobs j
        where j.id = any (held) and (j.unique_scope = 'waiting') is true and j.cancel_requested_at is null
            and j.delivery is distinct from 'at_most_once' and j.losses + give_back.lost::integer < j.max_losses);
    if keyed <> '{}' then
        select coalesce(array_agg(r.id order by r.id) filter (where r.twin is not null), '{}'),
            array_agg(r.twin order by r.id) filter (where r.twin is not null), array_agg(r.id) filter (where r.twin is null),
            array_agg(r.freed) filter (where r.freed is not null)
        into superseded, twins, busy, expired from reclaim(keyed, give_back.at) r;
        held := array(select unnest(held) except select unnest(busy));
    end if;
    update jobs j set
        losses = j.losses + 1,
        errors = with_error(
            j.errors,
            jsonb_build_object(
                'type', 'WorkerLost', 'message', format('worker %s %s', j.worker, case when give_back.lost then 'was lost' else 'left' end),
                'traceback', '', 'attempt', j.attempt),
            give_back.at)
    where j.id = any (held) and (give_back.lost or (j.delivery = 'at_most_once' and j.cancel_requested_at is null));
    update jobs j set reason = format('superseded by job %s', twins[width_bucket(j.id, superseded)]) where j.id = any (superseded);
    select
        coalesce(array_agg(j.id) filter (where j.cancel_requested_at is not null), '{}'),
        coalesce(array_agg(j.id) filter (
            where j.cancel_requested_at is null and (j.losses >= j.max_losses or j.delivery = 'at_most_once')), '{}')
    into stopped, spent from jobs j where j.id = any (held);
    stopped := stopped || superseded;
    freed := bury(stopped, 'cancelled', null, give_back.at) || bury(spent, 'failed', null, give_back.at);
    with ready as (
        update jobs j set state = 'ready', scheduled_at = give_back.at, attempt = j.attempt - (not give_back.lost)::integer,
            worker = null, started_at = null, risen = risen_number()
        where j.id = any (held)
        returning j.id, j.queue, j.lock_key
    )
    select array_agg(r.queue), array_agg(r.id), freed || array_agg(r.lock_key) filter (where r.lock_key is not null)
    into awake, told, freed from ready r;
    perform announce(awake, told);
    perform wake(freed || expired || give_back.other_locks);
    return query
        select g, case when g = any (stopped) then 'cancelled' when g = any (spent) then 'failed' else 'ready' end
        from unnest(held) g order by g;
end
$$;
