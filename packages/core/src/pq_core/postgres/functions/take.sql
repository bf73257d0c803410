-- Find jobs that fetch may claim now: at most share of a queue and wanted in all. Part of fetch, with whose settings it runs.
--
-- ids: to claim at once. locks_seen: locks from which nothing is to be had in this fetch. refused: some candidate may not run.
-- crowded: behind the candidates there may be more. more: some candidate was left, or made ready; fetch again.
--
-- A lock is judged by one session at a time, which holds its advisory lock, and in a statement of its own: the snapshot that
-- took the candidates may be older than the last change of a lock.
--
-- places and what follows, if given: where to begin, see above(). set_aside: how many jobs were made blocked.
--
-- Of the candidates, those of paused tasks (held_tasks) are left to hold(), and those that have expired (by the time overdue, if
-- there may be some) to expire().
create or replace function take(
    serving text[], share integer, wanted integer, seen_locks bigint[], last_life boolean, held_tasks text[], overdue timestamptz,
    places integer[] default null, names text[] default null, ends integer[] default null, highs smallint[] default null,
    lows smallint[] default null, floors bigint[] default null, risen bigint[] default null
)
returns table (
    ids bigint[], locks_seen bigint[], refused boolean, crowded boolean, more boolean, set_aside integer
)
language plpgsql
as $$
#variable_conflict use_column
declare
    each integer := case when take.last_life then 1 else least(take.share, take.wanted) end;
    free bigint[];
    locked bigint[];
    unfit bigint[] := '{}';
    held bigint[] := '{}';
    some_unfit boolean := false;
    locks bigint[];
    judged bigint[];
    verdict record;
    crowd boolean;
    marked integer;
    revived boolean;
begin
    if take.last_life then
        with candidate as materialized (
            select c.id, c.lock_key from unnest(take.serving) q, lateral (
                select j.id, j.lock_key, j.priority from jobs j
                where j.queue = q and j.state = 'ready' and j.losses >= j.max_losses - 1
                    and (j.lock_key is null or j.lock_key <> all (take.seen_locks))
                order by j.priority desc, j.id limit 1 for update skip locked) c
            order by c.priority desc, c.id limit 1
        )
        select coalesce(array_agg(c.id) filter (where c.lock_key is null), '{}'),
            coalesce(array_agg(c.id) filter (where c.lock_key is not null), '{}'), true
        into free, locked, crowd from candidate c;
    elsif take.places is not null then
        select a.free, a.locked, a.crowd into free, locked, crowd from above(
            take.places, take.names, take.ends, take.highs, take.lows, take.floors, take.risen, each, take.wanted, take.seen_locks) a;
    else
        with candidate as materialized (
            select c.* from unnest(take.serving) q, lateral (
                select j.id, j.lock_key, j.priority, j.queue from jobs j
                where j.queue = q and j.state = 'ready' and j.losses < j.max_losses - 1
                    and (j.lock_key is null or j.lock_key <> all (take.seen_locks))
                order by j.priority desc, j.id limit each for update skip locked) c
        ), best as materialized (
            select c.id, c.lock_key from candidate c order by c.priority desc, c.id limit take.wanted
        )
        select coalesce(array_agg(b.id) filter (where b.lock_key is null), '{}'),
            coalesce(array_agg(b.id) filter (where b.lock_key is not null), '{}'),
            exists (select from candidate c group by c.queue having count(*) >= each)
        into free, locked, crowd from best b;
    end if;
    -- Rare, and so found out afterwards.
    if take.held_tasks <> '{}' or take.overdue is not null then
        select coalesce(array_agg(j.id), '{}'),
            coalesce(array_agg(j.id) filter (where (j.expires_at <= take.overdue and j.attempt = 0) is not true), '{}')
        into unfit, held from jobs j
        where j.id = any (free || locked)
            and ((j.expires_at <= take.overdue and j.attempt = 0) is true or j.task = any (take.held_tasks)) is true;
        if held <> '{}' then
            perform hold(held, take.serving, take.last_life);
        end if;
        some_unfit := unfit <> '{}';
        if some_unfit then
            -- What is still ready of them is behind a lock in others' hands: go on past it.
            take.seen_locks := take.seen_locks || array(
                select distinct j.lock_key from jobs j where j.id = any (unfit) and (j.state = 'ready' and j.lock_key is not null) is true);
            free := array(select u from unnest(free) u where u <> all (unfit));
            locked := array(select u from unnest(locked) u where u <> all (unfit));
        end if;
    end if;
    if locked = '{}' then
        return query select free, take.seen_locks, some_unfit, crowd, some_unfit, cardinality(held);
        return;
    end if;

    locks := array(select distinct j.lock_key from jobs j where j.id = any (locked));
    judged := array(select k from unnest(locks) k where pg_try_advisory_xact_lock(advisory_key(k)));
    select * into verdict from judge(locked, judged, take.held_tasks) v;
    marked := mark(verdict.held, verdict.held_locks, verdict.busy_locks, verdict.chosen);
    revived := make_ready(verdict.idle_heads);
    return query select
        free || verdict.chosen,
        -- A lock that is neither busy nor in others' hands may have a mutex job behind those that were just marked.
        take.seen_locks || verdict.busy_locks || array(select k from unnest(locks) k where k <> all (judged)),
        -- To go on behind a long line that is not yet marked would be to read all of it.
        some_unfit or cardinality(verdict.chosen) < cardinality(locked) and (take.last_life or marked < 1000),
        crowd,
        some_unfit or marked >= 1000 or revived or verdict.candidates < cardinality(locked),
        cardinality(held || verdict.held) + marked;
end
$$;
