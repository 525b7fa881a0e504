//! Where the server is, and who asks.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;
use reqwest::Url;

use super::{client::Client, error::CliError, key_file};

pub const DEFAULT_URL: &str = "http://127.0.0.1:7878";

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// The server to talk to. The API key is taken from MUSTER_API_KEY.
    #[arg(long, env = "MUSTER_URL", value_name = "URL", default_value = DEFAULT_URL, value_parser = parse_url)]
    pub url: Url,
    /// Where a server on this machine keeps its state. Without MUSTER_API_KEY, the key saved there is used for that server.
    #[arg(long, env = "MUSTER_STATE_DIR", value_name = "FOLDER", default_value_os_t = crate::config::default_state_dir())]
    pub state_dir: PathBuf,
}

impl ConnectionArgs {
    pub fn client(&self) -> Result<Client, CliError> {
        Client::new(self.url.clone(), &self.key()?)
    }

    fn key(&self) -> Result<String, CliError> {
        match std::env::var("MUSTER_API_KEY") {
            Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
            // The saved key is this machine's: it is not shown to another one.
            _ if is_local(&self.url) => key_file::read(&self.state_dir)?.ok_or(CliError::NoKey),
            _ => Err(CliError::NoKey),
        }
    }
}

pub fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; an address looks like {DEFAULT_URL}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("'{other}' is not a scheme Muster is reached by; use http or https")),
    }
}

/// Whether the address cannot lead off this machine.
pub fn is_local(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_saved_key_stays_on_this_machine() {
        for local in ["http://127.0.0.1:7878", "http://localhost:1", "http://[::1]:7878", "http://127.8.9.1"] {
            assert!(is_local(&local.parse().unwrap()), "{local}");
        }
        for remote in ["https://muster.example.org", "http://localhost.example.org", "http://192.168.1.2:7878", "http://[::2]"] {
            assert!(!is_local(&remote.parse().unwrap()), "{remote}");
        }
    }

    #[test]
    fn an_address_needs_a_scheme_muster_speaks() {
        assert!(parse_url("https://muster.example.org/team").is_ok());
        for bad in ["", "muster.example.org", "ftp://muster.example.org", "file:///etc/passwd"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
