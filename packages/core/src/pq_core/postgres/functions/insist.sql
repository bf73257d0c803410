-- Make a blocked job ready whose row is in somebody's hands. Part of wake.
--
-- A fetch can be that somebody: it took the row as ready, on an older snapshot, and has no use for it now. It waits for nobody
-- and is soon done, so waiting for it is safe, and needed: it will not wake the lock. Anybody else is about to change the job,
-- waits for the advisory lock that the caller holds, and will wake the lock itself; or rolls back, and rescue repairs that.
create or replace function insist(job bigint)
returns void
language plpgsql
set lock_timeout = '25ms'
as $$
begin
    perform from jobs j where j.id = insist.job for update;
    perform make_ready(array[insist.job]);
exception when lock_not_available then
    null;
end
$$;
