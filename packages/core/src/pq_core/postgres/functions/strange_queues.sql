-- The queues with ready jobs that are not among those known, found by one step in an index for each gap between these and for each
-- that is found. Part of fetch, with whose settings it runs.
create or replace function strange_queues(known text[])
returns text[]
language plpgsql stable
as $$
declare
    after text := '';
    before text;
    other text;
    found_ones text[] := array(
        with recursive step (queue) as (
            (select j.queue from jobs j where j.state = 'ready' and j.losses >= j.max_losses - 1 order by j.queue limit 1)
            union all
            select (
                select j.queue from jobs j where j.state = 'ready' and j.losses >= j.max_losses - 1 and j.queue > s.queue
                order by j.queue limit 1)
            from step s where s.queue is not null
        )
        select s.queue from step s where s.queue is not null and s.queue <> all (strange_queues.known));
begin
    for before in select k from unnest(strange_queues.known || null::text) k order by k nulls last loop
        loop
            if before is null then
                select j.queue into other from jobs j
                where j.state = 'ready' and j.losses < j.max_losses - 1 and j.queue > after order by j.queue limit 1;
            else
                select j.queue into other from jobs j
                where j.state = 'ready' and j.losses < j.max_losses - 1 and j.queue > after and j.queue < before
                order by j.queue limit 1;
            end if;
            exit when other is null;
            if other <> all (found_ones) then
                found_ones := found_ones || other;
            end if;
            after := other;
        end loop;
        after := before;
    end loop;
    return found_ones;
end
$$;
