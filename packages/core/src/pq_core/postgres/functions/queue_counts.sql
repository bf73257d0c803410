-- Every queue that has live jobs or is paused, with its live jobs by state.
create or replace function queue_counts()
returns table (name text, paused boolean, scheduled bigint, ready bigint, blocked bigint, running bigint)
language sql stable security definer
set search_path from current
as $$
    select coalesce(c.queue, p.name), p.name is not null, coalesce(c.scheduled, 0), coalesce(c.ready, 0), coalesce(c.blocked, 0),
        coalesce(c.running, 0)
    from (
        select j.queue, count(*) filter (where j.state = 'scheduled') as scheduled, count(*) filter (where j.state = 'ready') as ready,
            count(*) filter (where j.state = 'blocked') as blocked, count(*) filter (where j.state = 'running') as running
        from jobs j group by j.queue
    ) c full join (select p.name from pauses p where p.kind = 'queue') p on p.name = c.queue
    order by coalesce(c.queue, p.name) collate "C"
$$;
