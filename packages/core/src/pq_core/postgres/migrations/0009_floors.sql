-- What lets a fetch begin behind the entries of jobs that have ended, which an index keeps for as long as any transaction is open
-- that might still look at them. See docs/explanation/pinned-horizon.md.
--
--   risen         the number of the transaction that last made the job ready by a change of its row, or moved it while it was ready.
alter table jobs add column risen bigint;
create index jobs_risen on jobs (queue, risen) where state = 'ready' and risen is not null and losses < max_losses - 1;

-- Running jobs that somebody has to look at: heartbeats and fetches do not read past the others. The key is written so that no lookup
-- of one of these can be planned over jobs_running, which looks as good while there are few.
create index jobs_watched on jobs ((coalesce(worker, 0)))
    where state = 'running' and (losses >= max_losses - 1 or cancel_requested_at is not null);
drop index jobs_last_life_running;

-- These have more parameters from now on, all with defaults where others than pq's functions call them.
drop function if exists "fetch"(bigint, text[], integer, timestamptz);
drop function if exists take(text[], integer, integer, bigint[], boolean, text[], timestamptz);
drop function if exists promote(timestamptz, text[]);
