-- Whether a job may have these. Whoever stores jobs asks, and refuses by check_sound; jobs has no constraints for that, because
-- they would be read anew by each statement. Without options of its own, so that it costs no call.
create or replace function is_sound(lock_mode text, max_losses smallint, scheduled_at timestamptz, expires_at timestamptz)
returns boolean
language sql immutable
as $$
    select ($1 in ('ordered', 'mutex') and $2 > 0 and is_readable($3) and is_readable($4) is not false) is true
$$;
