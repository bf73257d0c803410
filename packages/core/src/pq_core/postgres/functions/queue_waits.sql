-- Every queue with ready jobs: since when those wait that are first in line, of all its lines the longest; whether a live worker
-- serves it; and whether it is paused, by itself or with all. Part of health.
--
-- A line is the ready jobs of one priority, apart from those in their last life, who have lines of their own: so the head of each
-- is found by one step in an index, however many stand behind it.
create or replace function queue_waits(at timestamptz)
returns table (name text, since timestamptz, served boolean, paused boolean)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $$
    with recursive head (queue, priority, id, due) as (
        (select j.queue, j.priority, j.id, j.scheduled_at from jobs j where j.state = 'ready' and j.losses < j.max_losses - 1
            order by j.queue, j.priority desc, j.id limit 1)
        union all
        select n.* from head h, lateral (
            (select j.queue, j.priority, j.id, j.scheduled_at from jobs j
                where j.state = 'ready' and j.losses < j.max_losses - 1 and j.queue = h.queue and j.priority < h.priority
                order by j.queue, j.priority desc, j.id limit 1)
            union all
            (select j.queue, j.priority, j.id, j.scheduled_at from jobs j
                where j.state = 'ready' and j.losses < j.max_losses - 1 and j.queue > h.queue
                order by j.queue, j.priority desc, j.id limit 1)
            order by 1, 2 desc limit 1) n
    ), last_life_head (queue, priority, id, due) as (
        (select j.queue, j.priority, j.id, j.scheduled_at from jobs j where j.state = 'ready' and j.losses >= j.max_losses - 1
            order by j.queue, j.priority desc, j.id limit 1)
        union all
        select n.* from last_life_head h, lateral (
            (select j.queue, j.priority, j.id, j.scheduled_at from jobs j
                where j.state = 'ready' and j.losses >= j.max_losses - 1 and j.queue = h.queue and j.priority < h.priority
                order by j.queue, j.priority desc, j.id limit 1)
            union all
            (select j.queue, j.priority, j.id, j.scheduled_at from jobs j
                where j.state = 'ready' and j.losses >= j.max_losses - 1 and j.queue > h.queue
                order by j.queue, j.priority desc, j.id limit 1)
            order by 1, 2 desc limit 1) n
    )
    select r.queue, r.since,
        exists (select from workers w where w.lease_until > $1 and (w.queues is null or r.queue = any (w.queues))),
        exists (select from pauses p where p.kind = 'all' or (p.kind = 'queue' and p.name = r.queue))
    from (
        select l.queue, min(l.due) as since from (select * from head union all select * from last_life_head) l group by l.queue
    ) r
    order by r.queue collate "C"
$$;
