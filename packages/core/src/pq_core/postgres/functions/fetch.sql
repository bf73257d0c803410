-- Claim up to max_jobs runnable jobs of the queues (null: of every queue) for a worker with a live lease.
--
-- The last row has no id; it says whether to fetch again at once, whether a job in its last life was passed over, and in how
-- many seconds the next scheduled job is due.
--
-- The settings leave the planner one shape of plan for each statement, the one that reads the head of an index. Otherwise a
-- plan made for an empty table goes on scanning a full one for as long as it is cached; and on PostgreSQL 15 the cost of a
-- sort that is disabled but needed would start the JIT compiler at every call.
create or replace function "fetch"(worker bigint, queues text[], max_jobs integer, now timestamptz default null)
returns table (
    id bigint, task text, args json, queue text, priority smallint, lock text, lock_mode text, attempt bigint, claim bigint,
    losses smallint, max_losses smallint, scheduled_at timestamptz, created_at timestamptz, started_at timestamptz,
    cancel_requested_at timestamptz, reason text, errors jsonb, metadata json,
    terms json,
    again boolean, solo boolean, next_in double precision
)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce("fetch".now, statement_timestamp());
    wanted integer := "fetch".max_jobs;
    serving text[];
    share integer;
    more boolean := false;
    last_life boolean;
    idle boolean;
    alone boolean;
    rounds integer := 0;
    overdue boolean;
    paused boolean;
    expired record;
    held_tasks text[] := '{}';
    taken record;
    claimed integer;
    seen_locks bigint[] := '{}';
begin
    perform from workers w where w.id = "fetch".worker and w.lease_until > at;
    if not found then
        raise exception 'worker % has no live lease', "fetch".worker
            using errcode = 'PQ001', hint = 'Send a heartbeat before fetching.';
    end if;
    select exists (select from jobs j where j.expires_at <= at and j.attempt = 0 and j.state <> 'running'),
        exists (select from pauses)
    into overdue, paused;
    if overdue then
        select * into expired from expire(at, false) e;
        perform wake(expired.freed);
        more := expired.more;
    end if;
    more := promote(at, "fetch".queues) or more;

    serving := array(select distinct q from unnest(coalesce("fetch".queues, ready_queues())) q);
    share := greatest(1, ceil(2.0 * wanted / greatest(1, cardinality(serving))));
    if paused then
        held_tasks := array(select p.name from pauses p where p.kind = 'task');
        serving := array(
            select q from unnest(serving) q
            where not exists (select from pauses p where p.kind = 'all' or (p.kind = 'queue' and p.name = q)));
    end if;
    if cardinality(serving) > 2 * wanted then
        serving := best_queues(serving, 2 * wanted);
        more := more or cardinality(serving) = 2 * wanted;
    end if;
    last_life := exists (
        select from unnest(serving) q, lateral (
            select from jobs j where j.queue = q and j.state = 'ready' and j.losses >= j.max_losses - 1
            order by j.priority desc, j.id limit 1) one);
    idle := last_life and not exists (select from jobs j where j.worker = "fetch".worker and j.state = 'running');
    alone := idle;
    if exists (select from jobs j where j.worker = "fetch".worker and j.state = 'running' and j.losses >= j.max_losses - 1) then
        wanted := 0;
    end if;

    -- First, if need be, for a job in its last life; then for others. Further rounds go on behind locks found taken.
    loop
        exit when wanted < 1 or serving = '{}';
        rounds := rounds + 1;
        select * into taken from take(serving, share, wanted, seen_locks, alone, held_tasks, case when overdue then at end) t;
        return query
            update jobs j
            set state = 'running', worker = "fetch".worker, started_at = at, attempt = j.attempt + 1, claim = j.claim + 1
            -- One that has expired may have come to light since.
            where j.id = any (taken.ids) and (j.expires_at <= at and j.attempt = 0) is not true
            returning j.id, j.task, j.args, j.queue, j.priority, j.lock, j.lock_mode, j.attempt, j.claim, j.losses, j.max_losses,
                j.scheduled_at, j.created_at, j.started_at, j.cancel_requested_at, j.reason, j.errors, j.metadata,
                case when num_nonnulls(j.delivery, j.version, j.unique_key, j.expires_at, j.progress) > 0 then json_build_object(
                    'delivery', j.delivery, 'version', j.version, 'unique_key', j.unique_key, 'unique_scope', j.unique_scope,
                    'expires_at', j.expires_at, 'progress', j.progress::text) end,
                null::boolean, null::boolean, null::double precision;
        get diagnostics claimed = row_count;
        wanted := wanted - claimed;
        more := more or claimed < cardinality(taken.ids);
        seen_locks := taken.locks_seen;
        more := more or taken.more;
        if alone and claimed > 0 then
            wanted := 0;
        elsif alone and not taken.refused then
            alone := false;
            rounds := 0;
        elsif alone then
            more := true;
            exit when rounds = 3;
        else
            more := more or (taken.crowded and (rounds = 3 or not taken.refused));
            exit when rounds = 3 or not (taken.crowded and taken.refused);
        end if;
    end loop;

    -- Jobs that are in others' hands just now: a fetch for several queues takes more candidates than it claims.
    if wanted > 0 and not more then
        more := exists (
            select from unnest(serving) q, lateral (
                select from jobs j where j.queue = q and j.state = 'ready' and j.losses < j.max_losses - 1
                order by j.priority desc, j.id limit 1) one);
    end if;
    return query
        select null::bigint, null::text, null::json, null::text, null::smallint, null::text, null::text, null::bigint, null::bigint,
            null::smallint, null::smallint, null::timestamptz, null::timestamptz, null::timestamptz, null::timestamptz, null::text,
            null::jsonb, null::json, null::json,
            more and wanted > 0, last_life and not idle,
            (select extract(epoch from s.scheduled_at - at)::double precision from jobs s
                where s.state = 'scheduled' order by s.scheduled_at limit 1);
end
$$;
