-- Store many jobs, all or none, in their order; return their ids in that order. One array for each field, all as long as args,
-- or of one element, which is then that of every job. What defer checks, the callers of this one have checked.
--
-- If some have unique keys, statuses says what became of each: `new`; `skipped` or `replaced`, and the id is that of the job that
-- has the key. If the key of one with on_conflict raise is taken, none is stored, no more is said than the status `taken` in the
-- place of the first of these, and the id of the job that has the key: null if that is one of the batch. alone: see defer.
create or replace function defer_many(
    tasks text[], args text[], queues text[], priorities smallint[], locks text[], lock_modes text[], scheduled_ats timestamptz[],
    delays double precision[], max_losses smallint[], metadata text[], now timestamptz default null,
    deliveries text[] default '{at_least_once}', versions integer[] default '{1}', unique_keys text[] default '{null}',
    unique_scopes text[] default '{waiting}', unique_periods double precision[] default '{null}',
    on_conflicts text[] default '{raise}', expires_ats timestamptz[] default '{null}',
    expires_ins double precision[] default '{null}', alone boolean default false, out ids bigint[], out statuses text[]
)
language plpgsql security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    number constant bigint := xact_number();  -- before ids and the time, see floors.py
    at constant timestamptz := coalesce(defer_many.now, clock_timestamp());
    job new_job;
    awake text[];
    wrong bigint;
begin
    if array_remove(defer_many.unique_keys, null) <> '{}' then
        select u.ids, u.statuses into defer_many.ids, defer_many.statuses
        from store_unique_many(
            array(
                select g from given_jobs(
                    defer_many.tasks, defer_many.args, defer_many.queues, defer_many.priorities, defer_many.locks,
                    defer_many.lock_modes, defer_many.scheduled_ats, defer_many.delays, defer_many.max_losses, defer_many.metadata, at,
                    defer_many.deliveries, defer_many.versions, defer_many.unique_keys, defer_many.unique_scopes,
                    defer_many.unique_periods, defer_many.on_conflicts, defer_many.expires_ats, defer_many.expires_ins) g),
            at, 'replace' = any (defer_many.on_conflicts), array_remove(defer_many.unique_periods, null) <> '{}') u;
        return;
    end if;
    if 1 = all (array[
            cardinality(defer_many.tasks), cardinality(defer_many.queues), cardinality(defer_many.priorities),
            cardinality(defer_many.locks), cardinality(defer_many.lock_modes), cardinality(defer_many.scheduled_ats),
            cardinality(defer_many.delays), cardinality(defer_many.max_losses), cardinality(defer_many.metadata),
            cardinality(defer_many.deliveries), cardinality(defer_many.versions), cardinality(defer_many.unique_keys),
            cardinality(defer_many.unique_scopes), cardinality(defer_many.unique_periods), cardinality(defer_many.on_conflicts),
            cardinality(defer_many.expires_ats), cardinality(defer_many.expires_ins)])
        and cardinality(defer_many.args) > 0
    then
        -- Jobs alike in all but args, as most are: to read so many arrays for each takes as long as a quarter of all this.
        select * into job from given_jobs(
            defer_many.tasks, '{null}', defer_many.queues, defer_many.priorities, defer_many.locks, defer_many.lock_modes,
            defer_many.scheduled_ats, defer_many.delays, defer_many.max_losses, defer_many.metadata, at, defer_many.deliveries,
            defer_many.versions, defer_many.unique_keys, defer_many.unique_scopes, defer_many.unique_periods,
            defer_many.on_conflicts, defer_many.expires_ats, defer_many.expires_ins);
        if not is_sound(job.lock_mode, job.max_losses, job.scheduled_at, job.expires_at) then
            perform check_sound(job.lock_mode, job.max_losses, job.scheduled_at, job.expires_at);
        end if;
        with stored as (
            insert into jobs (queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata,
                delivery, version, expires_at)
            select job.queue, job.task, a::json, job.priority, job.lock, job.lock_mode, job.state, job.scheduled_at, at, job.max_losses,
                job.metadata, nullif(job.delivery, 'at_least_once'), nullif(job.version, 1), job.expires_at
            from unnest(defer_many.args) a
            returning id
        )
        select array_agg(s.id) into ids from stored s;
        perform announce(array[job.queue], ids, defer_many.alone);
        return;
    end if;
    with stored as (
        insert into jobs (queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata,
            delivery, version, expires_at)
        select g.queue, g.task, g.args, g.priority, g.lock, g.lock_mode, g.state, g.scheduled_at, at, g.max_losses, g.metadata,
            nullif(g.delivery, 'at_least_once'), nullif(g.version, 1), g.expires_at
        from given_jobs(
            defer_many.tasks, defer_many.args, defer_many.queues, defer_many.priorities, defer_many.locks, defer_many.lock_modes,
            defer_many.scheduled_ats, defer_many.delays, defer_many.max_losses, defer_many.metadata, at, defer_many.deliveries,
            defer_many.versions, defer_many.unique_keys, defer_many.unique_scopes, defer_many.unique_periods,
            defer_many.on_conflicts, defer_many.expires_ats, defer_many.expires_ins) g
        order by g.place
        returning id, queue, lock_mode, max_losses, scheduled_at, expires_at
    )
    select coalesce(array_agg(s.id order by s.id), '{}'), array_agg(s.queue order by s.id),
        min(s.id) filter (where not is_sound(s.lock_mode, s.max_losses, s.scheduled_at, s.expires_at))
    into ids, awake, wrong from stored s;
    if wrong is not null then
        perform check_sound(j.lock_mode, j.max_losses, j.scheduled_at, j.expires_at) from jobs j where j.id = wrong;
    end if;
    perform announce(awake, ids, defer_many.alone);
end
$$;
