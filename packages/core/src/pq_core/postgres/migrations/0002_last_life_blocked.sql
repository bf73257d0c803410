-- Whoever frees a lock wakes the first blocked mutex job in its last life, which an idle worker claims before any other. With
-- this, that job is found without walking past those that wait before it.
create index jobs_last_life_blocked on jobs (lock_key, lock_mode, queue, priority desc, id)
    where state = 'blocked' and losses >= max_losses - 1;
