-- Read the arrays of defer_many as jobs. Without options of its own, so that the planner puts it where it is called.
create or replace function given_jobs(
    tasks text[], args text[], queues text[], priorities smallint[], locks text[], lock_modes text[], scheduled_ats timestamptz[],
    delays double precision[], max_losses smallint[], metadata text[], at timestamptz, deliveries text[], versions integer[],
    unique_keys text[], unique_scopes text[], unique_periods double precision[], on_conflicts text[], expires_ats timestamptz[],
    expires_ins double precision[]
)
returns setof new_job
language sql stable
as $$
    select null::bigint, t.queue, t.task, t.args, t.priority, t.lock, t.lock_mode,
        case when t.due > $11 then 'scheduled' else 'ready' end, t.due, t.max_losses, t.metadata, t.delivery, t.version, t.unique_key,
        t.unique_scope, t.unique_period, t.on_conflict, t.expires_at, t.place
    from (
        select
            coalesce(g.task, $1[1]) as task, g.args::json as args, coalesce(g.queue, $3[1]) as queue,
            coalesce(g.priority, $4[1]) as priority, case when cardinality($5) = 1 then $5[1] else g.lock end as lock,
            coalesce(g.lock_mode, $6[1]) as lock_mode,
            coalesce(
                case when cardinality($7) = 1 then $7[1] else g.scheduled_at end,
                $11 + interval '1 second' * coalesce(case when cardinality($8) = 1 then $8[1] else g.delay end, 0)) as due,
            coalesce(g.max_losses, $9[1]) as max_losses, coalesce(g.metadata, $10[1])::json as metadata,
            coalesce(g.delivery, $12[1]) as delivery, coalesce(g.version, $13[1]) as version,
            case when cardinality($14) = 1 then $14[1] else g.unique_key end as unique_key,
            coalesce(g.unique_scope, $15[1]) as unique_scope,
            interval '1 second' * case when cardinality($16) = 1 then $16[1] else g.unique_period end as unique_period,
            coalesce(g.on_conflict, $17[1]) as on_conflict,
            coalesce(
                case when cardinality($18) = 1 then $18[1] else g.expires_at end,
                $11 + interval '1 second' * case when cardinality($19) = 1 then $19[1] else g.expires_in end) as expires_at,
            g.place
        from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14, $15, $16, $17, $18, $19) with ordinality as g (
            task, args, queue, priority, lock, lock_mode, scheduled_at, delay, max_losses, metadata, delivery, version, unique_key,
            unique_scope, unique_period, on_conflict, expires_at, expires_in, place)
    ) t
$$;
