-- The earlier attempt at its task, which was interrupted, that an attempt goes on from, by its number; nothing where it began anew.
alter table attempt add column continues int check (continues > 0 and continues < number);
