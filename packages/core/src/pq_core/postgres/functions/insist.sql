-- Make a blocked job ready whose row is in somebody's hands. Part of wake.
--
-- A fetch can be that somebody: it took the row as ready, on an older snapshot, and has no use for it now. It waits for nobody
-- and is soon done, so waiting for it is safe, and needed: it will not wake the lock. Anybody else is about to change the job,
-- waits for the advisory lock that the caller holds, and will wake the lock itself; or rolls back, and rescue repairs that.
--
-- It asks again and again, for 31 ms, instead of standing in the line of the row: there it would complete a circle for the deadlock
-- detector, which would end somebody who only had to wait a little longer.
create or replace function insist(job bigint)
returns void
language plpgsql
as $$
declare
    pause double precision := 0.001;
begin
    while pause < 0.03 loop
        begin
            perform from jobs j where j.id = insist.job for update nowait;
            perform make_ready(array[insist.job]);
            return;
        exception when lock_not_available then
            perform pg_sleep(pause);
        end;
        pause := 2 * pause;
    end loop;
end
$$;
