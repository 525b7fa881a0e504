update attempt set ends_by = '2026-12-11T00:15:00Z', renewable = false;
update landing set tells = 3;
