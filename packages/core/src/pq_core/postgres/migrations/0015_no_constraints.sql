-- Each statement that writes to jobs would read these constraints anew, which was a seventh of what a defer cost the database. What
-- they refused is refused where it comes from: by the functions, see is_sound(), and for an update by hand by edited().
alter table jobs
    drop constraint if exists jobs_lock_mode_check,
    drop constraint if exists jobs_state_check,
    drop constraint if exists jobs_max_losses_check,
    drop constraint if exists jobs_scheduled_at_check,
    drop constraint if exists jobs_expires_at_check;
