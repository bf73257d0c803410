-- It is told what is in the batch; only defer_many calls it.
drop function if exists store_unique_many(new_job[], timestamptz);
