//! The `muster` binary: sets the process up, and hands over to the command line.

use std::{process::ExitCode, time::Duration};

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For threads that are left when everything has come to its end.
const AFTER_THE_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // in a room, before anything of the work is there
    if let Some(error) = runner::enter_room(std::env::args_os()) {
        anstream::eprintln!("muster: this room is not connected to what it may reach: {error}");
        return ExitCode::FAILURE;
    }
    let cli = server::cli::Cli::parse();
    // The one TLS provider of the process. It can only be refused when there is one already, which is then as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("muster: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(server::cli::run(cli));
    // Everything that has to be waited for has been; a thread that hangs or spins must not keep the process.
    runtime.shutdown_timeout(AFTER_THE_END);
    code
}
