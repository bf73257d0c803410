-- The queues with ready jobs, found by one step in an index for each. Part of fetch, with whose settings it runs.
create or replace function ready_queues()
returns text[]
language plpgsql stable
as $$
begin
    return array(
        with recursive step (queue) as (
            (select j.queue from jobs j where j.state = 'ready' and j.losses < j.max_losses - 1 order by j.queue limit 1)
            union all
            select (
                select j.queue from jobs j where j.state = 'ready' and j.losses < j.max_losses - 1 and j.queue > s.queue
                order by j.queue limit 1)
            from step s where s.queue is not null
        ), last_life_step (queue) as (
            (select j.queue from jobs j where j.state = 'ready' and j.losses >= j.max_losses - 1 order by j.queue limit 1)
            union all
            select (
                select j.queue from jobs j where j.state = 'ready' and j.losses >= j.max_losses - 1 and j.queue > s.queue
                order by j.queue limit 1)
            from last_life_step s where s.queue is not null
        )
        select s.queue from step s where s.queue is not null
        union
        select s.queue from last_life_step s where s.queue is not null);
end
$$;
