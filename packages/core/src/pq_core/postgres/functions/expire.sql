-- End waiting jobs that no worker has started in time, up to a thousand of them. Part of fetch and rescue, which wake the locks
-- freed.
--
-- patient: the caller is going to wait for the advisory locks that stand for those locks. Otherwise they are tried here, for a
-- fetch waits for nobody, and jobs whose lock cannot be had are left.
-- more: some may be left.
create or replace function expire(at timestamptz, patient boolean, out freed bigint[], out more boolean)
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    stale bigint[];
    locks bigint[];
    tried bigint[];
begin
    perform check_isolation();
    -- Before any row is taken.
    perform ensure_day(expire.at);
    stale := array(
        select j.id from jobs j where j.expires_at <= expire.at and j.attempt = 0 and j.state <> 'running'
        order by j.expires_at limit 1000 for update skip locked);
    more := cardinality(stale) >= 1000;
    if not expire.patient then
        locks := array(select distinct j.lock_key from jobs j where j.id = any (stale) and (j.lock_key is not null) is true);
        if locks <> '{}' then
            tried := array(select k from unnest(locks) k where pg_try_advisory_xact_lock(advisory_key(k)));
            stale := array(
                select j.id from jobs j where j.id = any (stale) and (j.lock_key is null or j.lock_key = any (tried)) is true);
        end if;
    end if;
    freed := bury(stale, 'cancelled', 'expired', expire.at);
end
$$;
