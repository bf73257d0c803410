-- Make jobs blocked: those in `held`, and up to a thousand others that are ready behind the same locks, so that the next fetch
-- does not come to each of them in turn. Part of fetch, which holds the advisory locks. Returns how many others: at a thousand,
-- more may be left.
create or replace function mark(held bigint[], held_locks bigint[], busy_locks bigint[], chosen bigint[])
returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    behind bigint[];
begin
    if mark.held = '{}' then
        return 0;
    end if;
    update jobs j set state = 'blocked' where j.id = any (mark.held);
    behind := array(
        select b.id from unnest(mark.held_locks) k,
            lateral (select o.id from jobs o where o.lock_key = k order by o.priority desc, o.id limit 1) h,
            lateral (
                select j.id from jobs j
                where j.lock_key = k and j.state = 'ready' and j.id <> h.id and j.id <> all (mark.chosen)
                    and (j.lock_mode = 'ordered' or k = any (mark.busy_locks))
                order by j.priority desc, j.id limit 1000 for update skip locked) b
        limit 1000);
    update jobs j set state = 'blocked' where j.id = any (behind);
    return cardinality(behind);
end
$$;
