-- Store many jobs, all or none, in their order; return their ids in that order. One array for each field, all of one length.
create or replace function defer_many(
    tasks text[], args text[], queues text[], priorities smallint[], locks text[], lock_modes text[], scheduled_ats timestamptz[],
    delays double precision[], max_losses smallint[], metadata text[], now timestamptz default null
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
        select g.*, coalesce(g.scheduled_at, at + coalesce(g.delay, 0) * interval '1 second') as due
        from unnest(
            defer_many.tasks, defer_many.args, defer_many.queues, defer_many.priorities, defer_many.locks, defer_many.lock_modes,
            defer_many.scheduled_ats, defer_many.delays, defer_many.max_losses, defer_many.metadata
        ) with ordinality as g (task, args, queue, priority, lock, lock_mode, scheduled_at, delay, max_losses, metadata, place)
    ), stored as (
        insert into jobs (queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata)
        select g.queue, g.task, g.args::json, g.priority, g.lock, g.lock_mode,
            case when g.due > at then 'scheduled' else 'ready' end, g.due, at, g.max_losses, g.metadata::json
        from given g order by g.place
        returning id, queue, state
    )
    select array_agg(s.id order by s.id), array_agg(distinct s.queue)
    into ids, awake from stored s;
    perform announce(awake);
    return coalesce(ids, '{}');
end
$$;
