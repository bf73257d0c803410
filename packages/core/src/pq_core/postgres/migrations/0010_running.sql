-- A lookup by lock must find what runs by jobs_one_running. When few jobs run, to read all that do costs no more by the planner's
-- reckoning, and the plan stays when many run. So the index by worker does not serve for it: its condition names the worker.
drop index jobs_running;
create index jobs_running on jobs (worker) where state = 'running' and worker is not null;
-- What runs for nobody, after an edit by hand; for rescue.
create index jobs_without_worker on jobs (id) where state = 'running' and worker is null;
