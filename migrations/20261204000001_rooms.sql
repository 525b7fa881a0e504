-- What attempts may use and reach on a runner's machine, as it said when it opened its link, and what they have left there that should be
-- gone; nothing when there is nothing.
alter table runner
  add column rooms       jsonb,
  add column left_behind text check (length(left_behind) between 1 and 1000);
