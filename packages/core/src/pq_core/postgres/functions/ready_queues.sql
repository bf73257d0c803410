-- The queues with ready jobs, found by one step in the index for each.
create or replace function ready_queues()
returns text[]
language sql stable
as $$
    with recursive step (queue) as (
        (select j.queue from jobs j where j.state = 'ready' order by j.queue limit 1)
        union all
        select (select j.queue from jobs j where j.state = 'ready' and j.queue > s.queue order by j.queue limit 1)
        from step s where s.queue is not null
    )
    select coalesce(array_agg(s.queue), '{}') from step s where s.queue is not null
$$;
