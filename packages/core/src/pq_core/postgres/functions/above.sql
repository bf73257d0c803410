-- Find candidates for take: of each place the first `each` above its floors and of those that have risen; in all, the best `wanted`.
-- Part of fetch, with whose settings it runs.
--
-- A place is the number of a queue in names; its cells are those after ends of the place before, up to its own, by falling
-- priority. A cell is one priority (highs = lows), whose index entries up to the floor are stepped over without a look, or all that
-- lie between two such.
--
-- crowd: some place may have more.
create or replace function above(
    places integer[], names text[], ends integer[], highs smallint[], lows smallint[], floors bigint[], risen bigint[],
    each integer, wanted integer, seen_locks bigint[]
)
returns table (free bigint[], locked bigint[], crowd boolean)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query
    with candidate as materialized (
        -- A nested loop keeps to the order of the cells, and the limit ends it.
        select p as place, c.id, c.lock_key, c.priority from unnest(above.places) p, lateral (
            select f.id, f.lock_key, f.priority
            from generate_series(coalesce(above.ends[p - 1], 0) + 1, above.ends[p]) n, lateral (
                (select o.* from (select j.id, j.lock_key, j.priority from jobs j
                where above.highs[n] = above.lows[n] and j.queue = above.names[p] and j.state = 'ready' and j.losses < j.max_losses - 1
                    and j.priority = above.highs[n] and j.id > above.floors[n]
                    and (j.lock_key is null or j.lock_key <> all (above.seen_locks)) and j.id <> all (above.risen)
                order by j.id limit above.each for update skip locked) o)
                union all
                (select m.* from (select j.id, j.lock_key, j.priority from jobs j
                where above.highs[n] > above.lows[n] and j.queue = above.names[p] and j.state = 'ready' and j.losses < j.max_losses - 1
                    and j.priority between above.lows[n] and above.highs[n] and j.id > above.floors[n]
                    and (j.lock_key is null or j.lock_key <> all (above.seen_locks)) and j.id <> all (above.risen)
                order by j.priority desc, j.id limit above.each for update skip locked) m)
            ) f limit above.each) c
    ), again as materialized (
        select j.id, j.lock_key, j.priority from jobs j
        where j.id = any (above.risen) and (j.state = 'ready' and j.losses < j.max_losses - 1
            and (j.lock_key is null or j.lock_key <> all (above.seen_locks))) is true
        for update skip locked
    ), best as materialized (
        select r.id, r.lock_key from (
            select c.id, c.lock_key, c.priority from candidate c
            union all select a.id, a.lock_key, a.priority from again a) r
        order by r.priority desc, r.id limit above.wanted
    )
    select
        coalesce(array_agg(r.id) filter (where r.lock_key is null), '{}'),
        coalesce(array_agg(r.id) filter (where r.lock_key is not null), '{}'),
        exists (select from candidate c group by c.place having count(*) >= above.each)
    from best r;
end
$$;
