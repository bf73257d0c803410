-- Make blocked jobs ready, without waiting for those that somebody else has in hand, and say to their queues that there is
-- something to fetch. True if there was one.
create or replace function make_ready(ids bigint[])
returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
    waiting bigint[];
    awake text[];
begin
    if make_ready.ids is null or make_ready.ids = '{}' then
        return false;
    end if;
    waiting := array(
        select j.id from jobs j where j.id = any (make_ready.ids) and (j.state = 'blocked') is true
        order by j.id for update skip locked);
    with woken as (
        update jobs j set state = 'ready', risen = risen_number() where j.id = any (waiting) returning j.id, j.queue
    )
    select array_agg(w.queue), array_agg(w.id) into awake, waiting from woken w;
    perform announce(awake, waiting);
    return awake is not null;
end
$$;
