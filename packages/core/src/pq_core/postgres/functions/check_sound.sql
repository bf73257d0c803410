-- Refuse what no job may have; see is_sound.
create or replace function check_sound(lock_mode text, max_losses smallint, scheduled_at timestamptz, expires_at timestamptz)
returns void
language plpgsql immutable
as $$
begin
    if lock_mode is null or lock_mode not in ('ordered', 'mutex') then
        raise exception 'lock_mode must be ordered or mutex, not %', lock_mode using errcode = 'PQ002';
    elsif max_losses is null or max_losses < 1 then
        raise exception 'max_losses must be a whole number from 1, not %', max_losses using errcode = 'PQ002';
    end if;
    perform check_times(scheduled_at, expires_at);
end
$$;
