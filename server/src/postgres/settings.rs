//! The settings Muster insists on. They go on the command line, where neither postgresql.conf nor ALTER SYSTEM can undo them;
//! everything else (memory, autovacuum, …) stays with postgresql.conf and whoever tunes it.

use std::ffi::OsString;
use std::path::Path;

pub(super) const SUPERUSER: &str = "muster";

/// Only a part of the socket's name: nothing listens on TCP.
pub(super) const PORT: u16 = 5432;

const SETTINGS: [&str; 18] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "ssl=off",
    "password_encryption=scram-sha-256",
    // accepted means durable
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "max_connections=100",
    // no transaction of Muster waits for a model or a runner: one that idles this long is a mistake
    "idle_in_transaction_session_timeout=60s",
    // short statements only: compiling them costs more than it saves
    "jit=off",
    "cluster_name=muster",
    "timezone=UTC",
    "log_timezone=UTC",
    // the messages are read by `postmaster::start`
    "lc_messages=C",
    "logging_collector=off",
    "log_destination=stderr",
    "log_lock_waits=on",
    // slow or failed statements may carry secrets in their values
    "log_parameter_max_length=0",
];

/// The arguments of `postgres`.
pub(super) fn arguments(data: &Path, socket_folder: &Path) -> Vec<OsString> {
    // the setting is a list; in quotes a comma or a space in the path is only that
    let quoted = socket_folder.to_string_lossy().replace('"', "\"\"");
    let ours = [format!("port={PORT}"), format!("unix_socket_directories=\"{quoted}\"")];
    let mut arguments = vec![OsString::from("-D"), data.into()];
    for setting in SETTINGS.into_iter().map(str::to_owned).chain(ours) {
        arguments.extend([OsString::from("-c"), setting.into()]);
    }
    arguments
}
