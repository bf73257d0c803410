-- Let running jobs that are to wait again have their unique keys of scope waiting back, by making them ready. Return those that
-- cannot: with the waiting job that has the key by now, or with null if another transaction has it in hand. The caller holds
-- the rows, and ends or changes them further. Part of finish, rescue and leave.
--
-- A waiting job that was not started in time is in nobody's way: it is ended here; freed is its lock, which the caller is to wake.
--
-- Jobs follow in the order of their keys, as in defer_many: of two who want several keys, one waits, and not each for the other.
create or replace function reclaim(ids bigint[], at timestamptz)
returns table (id bigint, twin bigint, freed bigint)
language plpgsql
set lock_timeout = '200ms'
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    job record;
    other record;
begin
    for job in
        select j.id, j.unique_key from jobs j where j.id = any (reclaim.ids) order by j.unique_key collate "C", j.id
    loop
        loop
            begin
                select o.id, o.attempt, o.expires_at into other from jobs o
                where o.unique_key = job.unique_key and o.unique_scope = 'waiting'
                    and o.state in ('scheduled', 'ready', 'blocked');
                if not found then
                    update jobs j set state = 'ready' where j.id = job.id;
                    exit;
                elsif other.attempt = 0 and other.expires_at <= reclaim.at then
                    perform from jobs j
                    where j.id = other.id and (j.state <> 'running') is true and j.attempt = 0 and j.expires_at <= reclaim.at
                    for update;
                    if found then
                        return query
                            select null::bigint, null::bigint, f
                            from unnest(bury(array[other.id], 'cancelled', 'expired', reclaim.at)) f;
                    end if;
                else
                    return query select job.id, other.id, null::bigint;
                    exit;
                end if;
            exception
                when unique_violation then
                    null;  -- A new job was faster: look which.
                when lock_not_available then
                    -- Those behind it shall not wait as long again.
                    perform set_config('lock_timeout', '1ms', true);
                    return query select job.id, null::bigint, null::bigint;
                    exit;
            end;
        end loop;
    end loop;
end
$$;
