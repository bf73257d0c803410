-- End a waiting job that was not started in time, unless somebody else has ended or started it meanwhile; return the locks to
-- wake. Part of store_unique.
create or replace function drop_expired(job bigint, at timestamptz)
returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
begin
    perform check_isolation();
    perform ensure_day(drop_expired.at);
    perform from jobs j
    where j.id = drop_expired.job and (j.state <> 'running') is true and j.attempt = 0 and j.expires_at <= drop_expired.at
    for update;
    return case when found then bury(array[drop_expired.job], 'cancelled', 'expired', drop_expired.at) end;
end
$$;
