-- Claim these jobs for a worker with a live lease, if that is simple: if they are ready, have no lock, have more than one life left,
-- and nothing is paused. It is for a worker that has just been told of jobs, and knows of no others.
--
-- If it claims none, but some are ready, or scheduled, and in nobody's hands, it returns one row without an id: fetch may find them, or
-- tells when they are due.
create or replace function claim(worker bigint, queues text[], ids bigint[])
returns table (
    id bigint, task text, args json, queue text, priority smallint, lock text, lock_mode text, attempt bigint, claim bigint,
    losses smallint, max_losses smallint, scheduled_at timestamptz, created_at timestamptz, started_at timestamptz,
    cancel_requested_at timestamptz, reason text, errors jsonb, metadata json, terms json,
    again boolean, solo boolean, next_in double precision, set_aside integer
)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        update jobs j
        set state = 'running', worker = claim.worker, started_at = statement_timestamp(), attempt = j.attempt + 1, claim = j.claim + 1
        where j.id = any (array(
                select w.id from jobs w
                where w.id = any (claim.ids)
                    and (w.state = 'ready' and w.lock_key is null and w.losses < w.max_losses - 1 and w.expires_at is null
                        and (claim.queues is null or w.queue = any (claim.queues))) is true
                    and exists (select from workers k where k.id = claim.worker and k.lease_until > statement_timestamp())
                    and not exists (select from pauses)
                for update skip locked))
        returning j.id, j.task, j.args, j.queue, j.priority, j.lock, j.lock_mode, j.attempt, j.claim, j.losses, j.max_losses,
            j.scheduled_at, j.created_at, j.started_at, j.cancel_requested_at, j.reason, j.errors, j.metadata,
            case when num_nonnulls(j.delivery, j.version, j.unique_key, j.progress) > 0 then json_build_object(
                'delivery', j.delivery, 'version', j.version, 'unique_key', j.unique_key, 'unique_scope', j.unique_scope,
                'expires_at', j.expires_at, 'progress', j.progress::text) end,
            null::boolean, null::boolean, null::double precision, null::integer;
    if not found then
        perform from jobs j where j.id = any (claim.ids) and (j.state in ('ready', 'scheduled')) is true for key share skip locked;
        if found then
            return next;
        end if;
    end if;
end
$$;
