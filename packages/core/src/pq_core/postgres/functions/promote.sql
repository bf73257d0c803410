-- Make due jobs of every queue ready, of those that fell due later than `since`. Workers of other queues than the caller's are told,
-- and of the same if it has room for fewer jobs: they need not have known when these fall due. True if some may be left.
create or replace function promote(
    at timestamptz, own_queues text[], since timestamptz default '-infinity', room integer default null)
returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
    due bigint[] := array(
        select j.id from jobs j where j.state = 'scheduled' and j.scheduled_at <= promote.at and j.scheduled_at > promote.since
        order by j.scheduled_at limit 1000 for update skip locked);
    elsewhere text[];
    told bigint[];
begin
    if due = '{}' then
        return false;
    end if;
    with risen as (
        update jobs j set state = 'ready', risen = risen_number() where j.id = any (due) returning j.id, j.queue
    )
    select array_agg(r.queue), array_agg(r.id) into elsewhere, told from risen r
    where r.queue <> all (promote.own_queues) or cardinality(due) > promote.room;
    perform announce(elsewhere, told);
    return cardinality(due) >= 1000;
end
$$;
