-- It is told for how many jobs its caller has room; only fetch calls it.
drop function if exists promote(timestamptz, text[], timestamptz);
