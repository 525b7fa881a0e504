-- A runner is who its state folder says it is, so two on one machine are two, whatever they are called.
drop index runner_name_key;
create index runner_name on runner (name);
