-- Claim up to max_jobs runnable jobs of the queues (null: of every queue) for a worker with a live lease.
--
-- The last row has no id; it says whether to fetch again at once, whether a job in its last life was passed over, in how many
-- seconds the next scheduled job is due, and how many jobs were made blocked.
--
-- With floors, a worker says how far it has read before, and is told in the terms of the last row how far it has read now; what
-- this means is told in pq_core/postgres/floors.py, what places and cells are in above(). With risen_since, jobs that have been made
-- ready by a transaction of that number or a later one are found wherever they are; without, all is read from the beginning.
-- due_since, in microseconds since 1970: what fell due until then has been made ready. moving: look what is left though it gets all
-- that it asked for; it is the first job of each queue served, in whosever hands, to which floors may move. Without floors, a worker
-- that listens is only told how many entries of the index of ready jobs have been read: many more than it got jobs, if floors are
-- called for.
--
-- heard: given by who waits for notifications, the queues of which it has heard since a fetch was sure to see all that was told. It is
-- told to fetch again while jobs of these may be left out, see all_told().
--
-- The settings leave the planner one shape of plan for each statement, the one that reads the head of an index. Otherwise a
-- plan made for an empty table goes on scanning a full one for as long as it is cached; and on PostgreSQL 15 the cost of a
-- sort that is disabled but needed would start the JIT compiler at every call.
create or replace function "fetch"(worker bigint, queues text[], max_jobs integer, now timestamptz default null,
    floor_queues text[] default null, floor_ends integer[] default null, floor_highs smallint[] default null,
    floor_lows smallint[] default null, floors bigint[] default null, risen_since bigint default null,
    due_since bigint default null, heard text[] default null, moving boolean default true)
returns table (
    id bigint, task text, args json, queue text, priority smallint, lock text, lock_mode text, attempt bigint, claim bigint,
    losses smallint, max_losses smallint, scheduled_at timestamptz, created_at timestamptz, started_at timestamptz,
    cancel_requested_at timestamptz, reason text, errors jsonb, metadata json,
    terms json,
    again boolean, solo boolean, next_in double precision, set_aside integer
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
    told boolean := true;
    put_aside integer := 0;
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
    floored constant boolean := "fetch".floors is not null;
    due_floor constant timestamptz := coalesce('epoch'::timestamptz + "fetch".due_since * interval '1 microsecond', '-infinity');
    snapshot pg_snapshot;
    writers bigint[];
    top bigint;
    names text[] := "fetch".floor_queues;
    ends integer[] := "fetch".floor_ends;
    highs smallint[] := "fetch".floor_highs;
    lows smallint[] := "fetch".floor_lows;
    lower bigint[] := "fetch".floors;
    strange text[];
    places integer[];
    risen_ids bigint[] := '{}';
    risen_places integer[] := '{}';
    risen_here bigint[];
    whole boolean := false;
    served text[] := '{}';
    told_served text[];
    stops json;
    upcoming timestamptz;
    read_now json;
    read_before bigint;
begin
    if "fetch".heard is not null then
        read_before := coalesce(pg_stat_get_xact_tuples_returned(to_regclass('jobs_ready')), 0);
        told := all_told("fetch".heard);
    end if;
    if floored then
        -- Before all else: what had ended by then is seen by all that follows, and ids above the top are none that it has passed.
        snapshot := pg_current_snapshot();
        writers := array(select x::text::bigint from pg_snapshot_xip(snapshot) x);
        if pg_snapshot_xmin(snapshot)::text::bigint <= "fetch".risen_since then
            writers := writers_of_jobs(writers);  -- somebody is at something for long; most of that has nothing to do with jobs
        end if;
        top := pg_sequence_last_value(to_regclass('jobs_id_seq'));
        read_before := coalesce(pg_stat_get_xact_tuples_returned(to_regclass('jobs_ready')), 0);
    end if;
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
    more := promote(at, "fetch".queues, due_floor, wanted) or more;

    if floored then
        if "fetch".queues is null then
            strange := strange_queues(names);
            names := names || strange;
            ends := ends || array(select coalesce(ends[cardinality(ends)], 0) + n::integer from generate_series(1, cardinality(strange)) n);
            highs := highs || array_fill(32767::smallint, array[cardinality(strange)]);
            lows := lows || array_fill('-32768'::smallint, array[cardinality(strange)]);
            lower := lower || array_fill('-1'::bigint, array[cardinality(strange)]);
        end if;
        places := array(select generate_series(1, cardinality(names)));
        if "fetch".risen_since is not null then
            select coalesce(array_agg(r.id), '{}'), coalesce(array_agg(distinct p), '{}') into risen_ids, risen_places
            from unnest(places) p, lateral (
                select j.id from jobs j
                where j.queue = names[p] and j.state = 'ready' and j.losses < j.max_losses - 1 and j.risen >= "fetch".risen_since
                order by j.risen limit 1001) r;
        end if;
        if "fetch".risen_since is null or cardinality(risen_ids) > 1000 then
            -- To read from the beginning is simpler than to look for so many.
            risen_ids := '{}';
            risen_places := '{}';
            ends := places;
            highs := array_fill(32767::smallint, array[cardinality(names)]);
            lows := array_fill('-32768'::smallint, array[cardinality(names)]);
            lower := array_fill('-1'::bigint, array[cardinality(names)]);
            whole := true;
        end if;
        if "fetch".queues is null and cardinality(names) > 1 then
            places := array(
                select unnest(best_places(places, names, ends, highs, lows, lower, null)) union select unnest(risen_places));
            served := array(select n from unnest(names) with ordinality n (n, place) where place <> all (places));
        end if;
        serving := array(select names[p] from unnest(places) p);
    else
        serving := array(select distinct q from unnest(coalesce("fetch".queues, ready_queues())) q);
    end if;
    share := greatest(1, ceil(2.0 * wanted / greatest(1, cardinality(serving))));
    if paused then
        held_tasks := array(select p.name from pauses p where p.kind = 'task');
        serving := array(
            select q from unnest(serving) q
            where not exists (select from pauses p where p.kind = 'all' or (p.kind = 'queue' and p.name = q)));
        if floored then
            places := array(select p from unnest(places) p where names[p] = any (serving));
        end if;
    end if;
    if cardinality(serving) > 2 * wanted then
        if floored then
            places := array(
                select unnest(best_places(places, names, ends, highs, lows, lower, 2 * wanted))
                union select p from unnest(risen_places) p where p = any (places));
            serving := array(select names[p] from unnest(places) p);
        else
            serving := best_queues(serving, 2 * wanted);
        end if;
        more := more or cardinality(serving) = 2 * wanted;
    end if;
    if floored then
        served := served || serving;
        risen_here := risen_ids;
        if paused and risen_ids <> '{}' then
            risen_here := array(select j.id from jobs j where j.id = any (risen_ids) and (j.queue = any (serving)) is true);
        end if;
    end if;
    last_life := exists (
        select from unnest(serving) q, lateral (
            select from jobs j where j.queue = q and j.state = 'ready' and j.losses >= j.max_losses - 1
            order by j.priority desc, j.id limit 1) one);
    idle := last_life and not exists (select from jobs j where j.worker = "fetch".worker and j.state = 'running');
    alone := idle;
    if exists (
        select from jobs j where coalesce(j.worker, 0) = "fetch".worker and j.state = 'running' and j.losses >= j.max_losses - 1)
    then
        wanted := 0;
    end if;

    -- First, if need be, for a job in its last life; then for others. Further rounds go on behind locks found taken.
    loop
        exit when wanted < 1 or serving = '{}';
        rounds := rounds + 1;
        select * into taken from take(serving, share, wanted, seen_locks, alone, held_tasks, case when overdue then at end,
            places, names, ends, highs, lows, lower, risen_here) t;
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
                null::boolean, null::boolean, null::double precision, null::integer;
        get diagnostics claimed = row_count;
        wanted := wanted - claimed;
        if claimed < cardinality(taken.ids) then
            more := true;
        end if;
        seen_locks := taken.locks_seen;
        more := more or taken.more;
        put_aside := put_aside + taken.set_aside;
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
    if floored and (whole or wanted > 0 or "fetch".moving) then
        told_served := served;
        select json_agg(json_build_object('queue', names[h.place], 'priority', h.priority, 'id', h.id - 1)) into stops
        from heads(places, names, ends, highs, lows, lower) h;
        more := more or stops is not null;
    elsif wanted > 0 and not more then
        more := exists (
            select from unnest(serving) q, lateral (
                select from jobs j where j.queue = q and j.state = 'ready' and j.losses < j.max_losses - 1
                order by j.priority desc, j.id limit 1) one);
    end if;
    select s.scheduled_at into upcoming from jobs s where s.state = 'scheduled' and s.scheduled_at > due_floor
    order by s.scheduled_at limit 1;
    if floored then
        read_now := json_build_object(
            'oldest', coalesce((select min(w) from unnest(writers) w), pg_snapshot_xmax(snapshot)::text::bigint),
            'newest', pg_snapshot_xmax(snapshot)::text::bigint, 'open', writers, 'top', top, 'whole', whole, 'served', told_served,
            'due', (extract(epoch from least(at, upcoming - interval '1 microsecond')) * 1000000)::bigint, 'stops', stops,
            'risen', (select min(j.risen) from jobs j where j.id = any (risen_ids) and (j.state = 'ready') is true),
            'read', coalesce(pg_stat_get_xact_tuples_returned(to_regclass('jobs_ready')), 0) - read_before);
    elsif "fetch".heard is not null then
        read_now := to_json(coalesce(pg_stat_get_xact_tuples_returned(to_regclass('jobs_ready')), 0) - read_before);
    end if;
    return query
        select null::bigint, null::text, null::json, null::text, null::smallint, null::text, null::text, null::bigint, null::bigint,
            null::smallint, null::smallint, null::timestamptz, null::timestamptz, null::timestamptz, null::timestamptz, null::text,
            null::jsonb, null::json, read_now,
            (more or not told) and wanted > 0, last_life and not idle,
            extract(epoch from upcoming - at)::double precision,
            put_aside;
end
$$;
