//! A task's log: bytes in order, each piece written once, readable from any byte on.

use domain::{
    Actor, AttemptKey, LogChunk, LogStream, Permission, TaskId, crash,
    log::{LOG_CHUNK_LIMIT, LOG_QUOTA},
};
use tracing::warn;

use crate::{Engine, Error, Result, RunnerSession};

/// The last line of a log that is longer than any.
const LEFT_OUT: &str = "\nThe log of this attempt is full: what its runner sends after this is not kept\n";
/// Bytes read at once, about.
const READ_CHUNKS: i64 = 64;

/// A piece of a log as it was written.
pub struct RawLogChunk {
    pub offset: i64,
    pub attempt: i32,
    pub stream: LogStream,
    pub bytes: Vec<u8>,
}

impl Engine {
    /// Stores a piece that starts `offset` bytes into the attempt's own log. A piece that is stored already is left as it is; one that does
    /// not begin where the log ends is [`Error::Missing`]. What is beyond [`LOG_QUOTA`] is heard and not kept: a runner that is refused would
    /// say it again for ever, and its last word comes after it.
    pub(crate) async fn append_log(
        &self,
        session: &RunnerSession,
        key: AttemptKey,
        offset: u64,
        stream: LogStream,
        bytes: &[u8],
    ) -> Result<()> {
        let offset = i64::try_from(offset).map_err(|_| Error::StaleLease)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > LOG_CHUNK_LIMIT {
            return Err(domain::Invalid::field("/bytes", "too_long", format!("a piece holds at most {LOG_CHUNK_LIMIT} bytes")).into());
        }
        crash::point("log.before");
        let stored = sqlx::query_scalar!(
            "with held as (
               update attempt set log_bytes = log_bytes + $5
               where id = $1 and number = $2 and runner_id = $3 and ended_at is null and log_bytes = $4
                 and log_heard is null and log_bytes + $5 <= $8
               returning workspace_id, task_id, number, log_start
             )
             insert into log_chunk (workspace_id, task_id, start, attempt, stream, content)
             select workspace_id, task_id, log_start + $4, number, $6, $7 from held
             returning start",
            key.attempt_id.0,
            key.number,
            session.id().0,
            offset,
            bytes.len() as i64,
            stream_name(stream),
            bytes,
            LOG_QUOTA as i64
        )
        .fetch_optional(&self.database.system)
        .await?;
        crash::point("log.after");
        if stored.is_some() {
            self.hints.log_grew(key.task_id);
            return Ok(());
        }
        let known = sqlx::query!(
            r#"select coalesce(log_heard, log_bytes) as "heard!", ended_at is null as "is_open!"
               from attempt where id = $1 and number = $2 and runner_id = $3"#,
            key.attempt_id.0,
            key.number,
            session.id().0
        )
        .fetch_optional(&self.database.system)
        .await?;
        match known {
            Some(known) if known.heard >= offset.saturating_add(bytes.len() as i64) => Ok(()),
            Some(known) if known.is_open && known.heard == offset => self.leave_out(session, key, offset, bytes.len()).await,
            Some(known) if known.is_open => Err(Error::Missing),
            _ => Err(Error::StaleLease),
        }
    }

    /// Takes down that a piece was heard which there is no more room for; the first one is marked. [`Error::Missing`] when there is.
    async fn leave_out(&self, session: &RunnerSession, key: AttemptKey, offset: i64, length: usize) -> Result<()> {
        let is_first = sqlx::query_scalar!(
            r#"with held as (
                 select id, workspace_id, task_id, number, log_start, log_bytes, log_heard is null as is_first from attempt
                 where id = $1 and number = $2 and runner_id = $3 and ended_at is null and coalesce(log_heard, log_bytes) = $4
                   and (log_heard is not null or log_bytes + $5 > $6)
                 for no key update
               ), marked as (
                 insert into log_chunk (workspace_id, task_id, start, attempt, stream, content)
                 select workspace_id, task_id, log_start + log_bytes, number, 'muster', $7::bytea from held where is_first
               )
               update attempt set log_heard = $4::bigint + $5::bigint,
                                  log_bytes = attempt.log_bytes + case when is_first then length($7::bytea) else 0 end
               from held where attempt.id = held.id
               returning is_first as "is_first!""#,
            key.attempt_id.0,
            key.number,
            session.id().0,
            offset,
            length as i64,
            LOG_QUOTA as i64,
            LEFT_OUT.as_bytes()
        )
        .fetch_optional(&self.database.system)
        .await?;
        match is_first {
            None => return Err(Error::Missing),
            Some(true) => {
                warn!(attempt.id = %key.attempt_id, "Runner {} sends more of a log than is kept of one", session.name());
                self.hints.log_grew(key.task_id);
            }
            Some(false) => {}
        }
        Ok(())
    }

    /// The pieces of a task's log from a byte on, up to about a megabyte; the first one cut so that it starts exactly there.
    pub async fn task_log(&self, actor: &Actor, task: TaskId, from: i64) -> Result<Vec<LogChunk>> {
        let raw = self.task_log_raw(actor, task, from).await?;
        Ok(raw
            .into_iter()
            .map(|chunk| LogChunk {
                offset: chunk.offset,
                end: chunk.offset + chunk.bytes.len() as i64,
                attempt: chunk.attempt,
                stream: chunk.stream,
                text: String::from_utf8_lossy(&chunk.bytes).into_owned(),
            })
            .collect())
    }

    /// As [`task_log`](Self::task_log), byte for byte.
    pub async fn task_log_raw(&self, actor: &Actor, task: TaskId, from: i64) -> Result<Vec<RawLogChunk>> {
        actor.may(Permission::ReadTasks)?;
        if from < 0 {
            return Err(domain::Invalid::field("/offset", "out_of_range", "must not be negative").into());
        }
        let mut tx = self.begin(actor).await?;
        crate::task::store::exists(&mut tx, task).await?;
        let rows = sqlx::query!(
            "select start, attempt, stream, content from log_chunk
             where task_id = $1
               and start >= coalesce((select max(earlier.start) from log_chunk earlier where earlier.task_id = $1 and earlier.start <= $2), 0)
             order by start limit $3",
            task.0,
            from,
            READ_CHUNKS
        )
        .fetch_all(&mut *tx)
        .await?;
        let chunks = rows.into_iter().filter_map(|row| {
            let skip = usize::try_from(from - row.start).unwrap_or(0);
            let bytes = row.content.get(skip..).filter(|rest| !rest.is_empty())?.to_vec();
            Some(RawLogChunk { offset: row.start + skip as i64, attempt: row.attempt, stream: row.stream, bytes })
        });
        let chunks = chunks.collect();
        tx.commit(chunks).await
    }
}

fn stream_name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Muster => "muster",
    }
}
