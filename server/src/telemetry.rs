//! The log on standard error.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// What a server logs unless MUSTER_LOG says otherwise.
pub const SERVER: &str = "info,sqlx=warn,hyper=warn,tower_sessions=warn";

/// Starts logging, `usual` unless MUSTER_LOG says otherwise; a second call in the same process changes nothing.
pub fn start(format: LogFormat, usual: &str) {
    let filter = EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // It fails only when logging has been started already, which is then as good.
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_ansi(colours())).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
}

fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
