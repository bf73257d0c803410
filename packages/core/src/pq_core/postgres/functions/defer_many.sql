-- Store many jobs, all or none, in their order; return their ids in that order. One array for each field, all as long as args,
-- or of one element, which is then that of every job. What defer checks, the callers of this one have checked.
create or replace function defer_many(
    tasks text[], args text[], queues text[], priorities smallint[], locks text[], lock_modes text[], scheduled_ats timestamptz[],
    delays double precision[], max_losses smallint[], metadata text[], now timestamptz default null,
    deliveries text[] default '{at_least_once}', versions integer[] default '{1}', unique_keys text[] default '{null}',
    unique_scopes text[] default '{waiting}', unique_periods double precision[] default '{null}',
    on_conflicts text[] default '{raise}', expires_ats timestamptz[] default '{null}',
    expires_ins double precision[] default '{null}'
)
returns bigint[]
language plpgsql security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(defer_many.now, statement_timestamp());
    ids bigint[];
    awake text[];
begin
    with given as (
        select
            coalesce(g.task, defer_many.tasks[1]) as task, g.args::json as args,
            coalesce(g.queue, defer_many.queues[1]) as queue, coalesce(g.priority, defer_many.priorities[1]) as priority,
            case when cardinality(defer_many.locks) = 1 then defer_many.locks[1] else g.lock end as lock,
            coalesce(g.lock_mode, defer_many.lock_modes[1]) as lock_mode,
            coalesce(
                case when cardinality(defer_many.scheduled_ats) = 1 then defer_many.scheduled_ats[1] else g.scheduled_at end,
                at + interval '1 second'
                    * coalesce(case when cardinality(defer_many.delays) = 1 then defer_many.delays[1] else g.delay end, 0)) as due,
            coalesce(g.max_losses, defer_many.max_losses[1]) as max_losses,
            coalesce(g.metadata, defer_many.metadata[1])::json as metadata,
            coalesce(g.delivery, defer_many.deliveries[1]) as delivery, coalesce(g.version, defer_many.versions[1]) as version,
            case when cardinality(defer_many.unique_keys) = 1 then defer_many.unique_keys[1] else g.unique_key end as unique_key,
            coalesce(g.unique_scope, defer_many.unique_scopes[1]) as unique_scope,
            coalesce(
                case when cardinality(defer_many.expires_ats) = 1 then defer_many.expires_ats[1] else g.expires_at end,
                at + interval '1 second'
                    * case when cardinality(defer_many.expires_ins) = 1 then defer_many.expires_ins[1] else g.expires_in end
            ) as expires_at,
            g.place
        from unnest(
            defer_many.tasks, defer_many.args, defer_many.queues, defer_many.priorities, defer_many.locks, defer_many.lock_modes,
            defer_many.scheduled_ats, defer_many.delays, defer_many.max_losses, defer_many.metadata, defer_many.deliveries, defer_many.versions,
            defer_many.unique_keys, defer_many.unique_scopes, defer_many.expires_ats, defer_many.expires_ins
        ) with ordinality as g (
            task, args, queue, priority, lock, lock_mode, scheduled_at, delay, max_losses, metadata, delivery, version, unique_key,
            unique_scope, expires_at, expires_in, place)
    ), stored as (
        insert into jobs (queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata,
            delivery, version, unique_key, unique_scope, expires_at)
        select g.queue, g.task, g.args, g.priority, g.lock, g.lock_mode,
            case when g.due > at then 'scheduled' else 'ready' end, g.due, at, g.max_losses, g.metadata,
            g.delivery, g.version, g.unique_key, case when g.unique_key is not null then g.unique_scope end, g.expires_at
        from given g order by g.place
        returning id, queue, state
    )
    select array_agg(s.id order by s.id), array_agg(distinct s.queue)
    into ids, awake from stored s;
    perform announce(awake);
    return coalesce(ids, '{}');
end
$$;
