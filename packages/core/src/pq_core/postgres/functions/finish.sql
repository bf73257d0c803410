-- Write the outcomes of runs; return the ids of the jobs whose claim was current. Any other outcome changes nothing.
--
-- Arrays of one length, by ascending id, no id twice; those after claims and kinds may be null where no outcome needs them. Rows are reached
-- by id = any(ids) and their outcome by its place in ids, so the work is linear and no plan can go astray. State is tested with
-- "is true", so that no partial index looks fit to drive the search.
--
-- A job that goes on and has a unique key of scope waiting takes it back; if a waiting job has it by now, the older one ends.
--
-- Three phases, see docs/explanation/locks.md: change the rows in the order of ids; take the advisory locks of the locks that
-- were freed; in a new statement wake who waited for them.
create or replace function finish(
    ids bigint[], claims bigint[], kinds text[], keeps boolean[] default null, delays double precision[] default null,
    queues text[] default null, priorities smallint[] default null, relocks boolean[] default null, locks text[] default null,
    errors text[] default null, results text[] default null, reasons text[] default null, now timestamptz default null,
    deliveries text[] default null, progresses text[] default null
)
returns setof bigint
language plpgsql security definer
set search_path from current set lock_timeout = '200ms'
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    number constant bigint := xact_number();  -- before ids and the time, see floors.py
    at constant timestamptz := coalesce(finish.now, clock_timestamp());
    ended bigint[] := '{}';
    freed bigint[];
    keyed bigint[];
    superseded bigint[] := '{}';
    twins bigint[];
    expired bigint[];
    resumed bigint[] := '{}';
    moved bigint[];
    awake text[];
    wrong timestamptz;
begin
    perform check_isolation();
    if finish.ids <> array(select distinct i from unnest(finish.ids) i order by i) then
        raise exception 'ids must ascend, each of them once' using errcode = 'PQ002';
    elsif not finish.kinds <@ '{succeeded,failed,retried,snoozed,cancelled,released}' then
        raise exception 'a kind is one of succeeded, failed, retried, snoozed, cancelled and released, not one of %',
            array(select distinct k from unnest(finish.kinds) k) using errcode = 'PQ002';
    end if;
    perform ensure_day(at);
    if finish.kinds && '{retried,snoozed,released}' then
        -- Two statements follow: taking the rows first, in order, keeps them from crossing with others'.
        with held as materialized (
            select j.id, j.unique_scope = 'waiting' and j.cancel_requested_at is null
                and finish.kinds[width_bucket(j.id, finish.ids)] = any ('{retried,snoozed,released}') as keyed
            from jobs j
            where j.id = any (finish.ids) and (j.state = 'running') is true
                and j.claim = finish.claims[width_bucket(j.id, finish.ids)]
            order by j.id for update
        )
        select array_agg(h.id) into keyed from held h where h.keyed;
    end if;
    if keyed <> '{}' then
        select coalesce(array_agg(r.id order by r.id) filter (where r.id is not null), '{}'),
            array_agg(r.twin order by r.id) filter (where r.id is not null),
            array_agg(r.freed) filter (where r.freed is not null)
        into superseded, twins, expired from reclaim(keyed, at) r;
        if array_position(twins, null) is not null then
            raise exception 'the unique key of a job is in the hands of another transaction' using errcode = 'lock_not_available';
        end if;
        keyed := array(select unnest(keyed) except select unnest(superseded));
    end if;

    with gone as (
        delete from jobs j
        where j.id = any (finish.ids) and (j.state = 'running') is true
            and j.claim = finish.claims[width_bucket(j.id, finish.ids)]
            and (j.cancel_requested_at is not null
                or finish.kinds[width_bucket(j.id, finish.ids)] = any ('{succeeded,failed,cancelled}')
                or j.id = any (superseded))
        returning j.*, width_bucket(j.id, finish.ids) as place
    ), kept as (
        insert into finished_jobs (
            id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
            started_at, worker, cancel_requested_at, reason, errors, result, progress, metadata, finished_at,
            delivery, version, unique_key, unique_scope, expires_at)
        select g.id, g.queue, g.task, g.args, g.priority, g.lock, g.lock_mode,
            case finish.kinds[g.place] when 'succeeded' then 'succeeded' when 'failed' then 'failed' else 'cancelled' end,
            g.attempt, g.claim, g.losses, g.max_losses, g.scheduled_at, g.created_at, g.started_at, g.worker, g.cancel_requested_at,
            case
                when finish.kinds[g.place] = 'cancelled' then coalesce(g.reason, finish.reasons[g.place])
                when g.unique_key is not null and g.id = any (superseded)
                    then format('superseded by job %s', twins[width_bucket(g.id, superseded)])
                else g.reason
            end,
            with_error(g.errors, finish.errors[g.place]::jsonb, at), finish.results[g.place]::json,
            case when finish.progresses is null then g.progress else coalesce(stamped(finish.progresses[g.place], at), g.progress) end,
            g.metadata, at,
            g.delivery, g.version, g.unique_key, g.unique_scope, g.expires_at
        from gone g where coalesce(finish.keeps[g.place], true)
    )
    select coalesce(array_agg(g.id), '{}'), array_agg(g.lock_key) filter (where g.lock_key is not null)
    into ended, freed from gone g;
    perform tell_waiters(ended);

    if cardinality(ended) < cardinality(finish.ids) and finish.kinds && '{retried,snoozed,released}' then
        -- The statement sees the rows as they were before it, so the old locks can be read beside the new ones.
        with going as materialized (
            select j.id, j.lock_key, width_bucket(j.id, finish.ids) as place from jobs j
            where j.id = any (finish.ids) and (j.id = any (keyed) or (
                (j.state = 'running') is true and j.claim = finish.claims[width_bucket(j.id, finish.ids)]
                and finish.kinds[width_bucket(j.id, finish.ids)] = any ('{retried,snoozed,released}')))
        ), resumed as (
            update jobs j set
                state = case when finish.delays[width_bucket(j.id, finish.ids)] > 0 then 'scheduled' else 'ready' end,
                scheduled_at = at + coalesce(finish.delays[width_bucket(j.id, finish.ids)], 0) * interval '1 second',
                attempt = j.attempt - (finish.kinds[width_bucket(j.id, finish.ids)] <> 'retried')::integer,
                queue = coalesce(finish.queues[width_bucket(j.id, finish.ids)], j.queue),
                priority = coalesce(finish.priorities[width_bucket(j.id, finish.ids)], j.priority),
                lock = case when finish.relocks[width_bucket(j.id, finish.ids)]
                    then finish.locks[width_bucket(j.id, finish.ids)] else j.lock end,
                errors = with_error(j.errors, finish.errors[width_bucket(j.id, finish.ids)]::jsonb, at),
                delivery = coalesce(finish.deliveries[width_bucket(j.id, finish.ids)], j.delivery),
                progress = coalesce(stamped(finish.progresses[width_bucket(j.id, finish.ids)], at), j.progress),
                worker = null, started_at = null, risen = risen_number()
            where j.id = any (array(select g.id from going g))
            returning j.id, j.queue, j.state, j.lock_key, j.scheduled_at
        )
        select coalesce(array_agg(r.id), '{}'), array_agg(r.queue),
            array_agg(r.lock_key) filter (where r.lock_key is not null)
                || (select array_agg(g.lock_key) from going g where g.lock_key is not null),
            min(r.scheduled_at) filter (where not is_readable(r.scheduled_at))
        into resumed, awake, moved, wrong from resumed r;
        if wrong is not null then
            perform check_times(wrong, null);
        end if;
        perform announce(awake, resumed);
    end if;

    if cardinality(ended) + cardinality(resumed) < cardinality(finish.ids) then
        -- A row that changed while this waited for it stays in hand unchanged, and others' wakes pass it over meanwhile.
        moved := moved || array(select j.lock_key from jobs j where j.id = any (finish.ids) and (j.state = 'blocked') is true);
    end if;
    perform wake(freed || moved || expired);
    return query select d from unnest(ended || resumed) d order by d;
end
$$;
