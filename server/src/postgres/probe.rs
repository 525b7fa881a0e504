//! Asks the socket whether Postgres accepts connections, in its own protocol: a socket that exists, or even one that can be
//! connected to, says nothing while the server recovers.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::settings::SUPERUSER;

/// How long one answer may take. It comes within a millisecond from a server that is well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The SQLSTATE `cannot_connect_now`.
const CANNOT_CONNECT_NOW: &str = "57P03";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepting,
    /// It is there, but starting, recovering or shutting down: its own words.
    NotYet(String),
    Silent,
}

/// Sends a startup packet and hangs up after the first answer, which Postgres takes for a client without a password and does not log.
pub(super) async fn probe(socket: &Path) -> Answer {
    let answer = tokio::time::timeout(PATIENCE, ask(socket)).await;
    answer.ok().and_then(Result::ok).unwrap_or(Answer::Silent)
}

async fn ask(socket: &Path) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&startup_packet()).await?;
    let kind = stream.read_u8().await?;
    let length = stream.read_u32().await?.saturating_sub(4);
    // to the end: hanging up on unread bytes would be an error for the log of Postgres
    let mut body = Vec::new();
    stream.take(length.into()).read_to_end(&mut body).await?;
    // what is no error is the request to authenticate
    Ok(if kind == b'E' { judge_error(&body) } else { Answer::Accepting })
}

fn startup_packet() -> Vec<u8> {
    let parameters = format!("user\0{SUPERUSER}\0database\0postgres\0\0");
    let length = u32::try_from(8 + parameters.len()).unwrap_or(u32::MAX);
    // 3.0, the version of the protocol that every supported server speaks
    [&length.to_be_bytes()[..], &0x0003_0000_u32.to_be_bytes(), parameters.as_bytes()].concat()
}

/// The fields of an error: one byte that says which, and a text that ends with NUL.
fn judge_error(body: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(body);
    let field = |name: char| text.split('\0').find_map(|field| field.strip_prefix(name));
    if field('C') == Some(CANNOT_CONNECT_NOW) {
        return Answer::NotYet(field('M').unwrap_or("not yet").to_owned());
    }
    // any other refusal, such as too many connections, comes from a server that is up
    Answer::Accepting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cannot_connect_now_means_not_yet() {
        let starting = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0Fpostmaster.c\0\0";
        assert_eq!(judge_error(starting), Answer::NotYet("the database system is starting up".into()));
        assert_eq!(judge_error(b"SFATAL\0C53300\0Msorry, too many clients already\0\0"), Answer::Accepting);
        assert_eq!(judge_error(b""), Answer::Accepting);
    }

    #[test]
    fn the_startup_packet_says_how_long_it_is() {
        let packet = startup_packet();
        assert_eq!(packet[..8], [0, 0, 0, 39, 0, 3, 0, 0]);
        assert_eq!(packet.len(), 39);
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_silent() {
        assert_eq!(probe(Path::new("/nowhere/.s.PGSQL.5432")).await, Answer::Silent);
    }
}
