-- Say which of the ready jobs in `locked` may run, for locks in `judged`, whose advisory locks this session holds. Part of fetch.
--
-- The head of a lock is its first live job. An ordered job runs if it is the head, a mutex job if it is the first of its kind
-- here and the head does not run instead; and neither if one of the lock runs already. A blocked head with nothing running is
-- idle, unless its task is one of `held_tasks`, which are paused.
--
-- Only ids may drive the search: by its lock a candidate would be found behind all jobs of that lock, hence "is true".
create or replace function judge(locked bigint[], judged bigint[], held_tasks text[])
returns table (chosen bigint[], held bigint[], held_locks bigint[], busy_locks bigint[], idle_heads bigint[], candidates integer)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query
    -- Each lock is looked at once, however many candidates it has: what is known of it is at the place of its key.
    with line as materialized (
        select array_agg(k order by k) as keys, array_agg(h.id order by k) as heads,
            array_agg(h.state = 'blocked' and h.task <> all (judge.held_tasks) order by k) as blocked,
            array_agg(
                (select r.id from jobs r where r.lock_key = k and r.state = 'running' limit 1) is not null order by k) as busy
        from unnest(judge.judged) k
        cross join lateral (
            select o.id, o.state, o.task from jobs o where o.lock_key = k order by o.priority desc, o.id limit 1) h
    ), candidate as (
        select j.id, j.lock_key, j.lock_mode, p.head, l.blocked[p.place] as head_blocked, l.busy[p.place] as busy,
            first_value(j.id) over (
                partition by j.lock_key order by j.id = p.head desc, j.lock_mode = 'mutex' desc, j.priority desc, j.id) as first
        from line l
        cross join jobs j
        cross join lateral (
            select w.place, l.heads[w.place] as head from (select width_bucket(j.lock_key, l.keys) as place) w) p
        where j.id = any (judge.locked) and (j.lock_key = any (judge.judged)) is true
    ), verdict as (
        select c.id, c.lock_key, c.head, c.head_blocked, c.busy,
            not c.busy and c.id = c.first and (c.id = c.head or c.lock_mode = 'mutex') as runs
        from candidate c
    ), lock_verdict as (
        select v.lock_key, v.busy or bool_or(v.runs) as busy, not bool_and(v.runs) as held,
            case when v.head_blocked and not v.busy and not bool_or(v.runs) then v.head end as idle_head
        from verdict v group by v.lock_key, v.busy, v.head, v.head_blocked
    )
    select
        coalesce((select array_agg(v.id) from verdict v where v.runs), '{}'),
        coalesce((select array_agg(v.id) from verdict v where not v.runs), '{}'),
        coalesce((select array_agg(l.lock_key) from lock_verdict l where l.held), '{}'),
        coalesce((select array_agg(l.lock_key) from lock_verdict l where l.busy), '{}'),
        coalesce((select array_agg(l.idle_head) from lock_verdict l where l.idle_head is not null), '{}'),
        (select count(*)::integer from verdict);
end
$$;
