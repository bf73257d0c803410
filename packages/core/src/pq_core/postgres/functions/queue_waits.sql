-- Every queue with ready jobs: since when the one waits that was due first, whether a live worker serves it, and whether it is
-- paused, by itself or with all. Part of health.
create or replace function queue_waits(at timestamptz)
returns table (name text, since timestamptz, served boolean, paused boolean)
language sql stable
as $$
    select r.queue, r.since,
        exists (select from workers w where w.lease_until > $1 and (w.queues is null or r.queue = any (w.queues))),
        exists (select from pauses p where p.kind = 'all' or (p.kind = 'queue' and p.name = r.queue))
    from (select j.queue, min(j.scheduled_at) as since from jobs j where j.state = 'ready' group by j.queue) r
    order by r.queue collate "C"
$$;
