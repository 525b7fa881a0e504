//! `muster runner show`

use std::time::Duration;

use clap::Args;
use domain::{
    Timestamp,
    runner::{Rooms, RunnerAttempt, RunnerDetail, RunnerPeriod, RunnerTally},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    facts::{field, section},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    reading::{reading_fields, reading_lines},
    runner::find_runner,
    task_result::shown,
    words::{between, bold, dim, duration, moment, now},
};

#[derive(Args)]
#[command(after_help = "\
In a pipe each line holds a name and a value, separated by a tab; what was not read of its machine has no
value. After them comes a line for each change of
the last day, the latest first, with runner or its slot, state, when it began, when it ended and the task of a
slot, and one for each attempt,
which holds, separated by tabs: current or history, id of its task, number, state, when it was given, when
it began, when it ended, whether its agent waits for leave, code of its failure, title of its task.

Examples:
  muster runner show far
  muster runner show far --json | jq .tally")]
pub struct ShowArgs {
    /// Its name, or its id.
    name: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Of the changes of the last day; the others are for programs.
const STOOD_SHOWN: usize = 10;

pub async fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_runner(&client, &args.name).await?.id;
    let detail = client.runner(id).await?;
    match args.output.output() {
        Output::Json => print_json(&detail)?,
        Output::Pipe => print_tab_separated(&lines(&detail))?,
        Output::Terminal => print_text(&page(&detail, now()))?,
    }
    Ok(Exit::Done)
}

/// Name and value per line, then one line per attempt.
fn lines(detail: &RunnerDetail) -> Vec<Vec<String>> {
    let RunnerDetail { runner, created_at, joined_by, current, history, tally, day } = detail;
    let draining = runner.draining.as_ref();
    let agents: Vec<_> = runner.backends.iter().map(|found| format!("{} {}", found.backend.name(), found.version)).collect();
    let fields = [
        ("id", runner.id.to_string()),
        ("name", runner.name.clone()),
        ("state", runner.state.name().to_owned()),
        ("draining_since", draining.map(|draining| moment(draining.since)).unwrap_or_default()),
        ("draining_by", draining.map(|draining| draining.by.clone()).unwrap_or_default()),
        ("unresponsive_since", runner.unresponsive_since.map(moment).unwrap_or_default()),
        ("lacks_disk", runner.lacks_disk().unwrap_or_default()),
        ("busy", runner.busy.to_string()),
        ("blocked", runner.blocked.to_string()),
        ("slots", runner.slots.to_string()),
        ("slots_own", runner.slots_own.to_string()),
        ("slots_set", runner.slots_set.map(|slots| slots.to_string()).unwrap_or_default()),
        ("capabilities", runner.capabilities.join(",")),
        ("agents", agents.join(",")),
        ("no_sandbox", runner.no_sandbox.clone().unwrap_or_default()),
        ("limits", runner.rooms.as_ref().map(Rooms::limits_in_words).unwrap_or_default()),
        ("network", runner.rooms.as_ref().map(|rooms| rooms.network.clone()).unwrap_or_default()),
        ("agent_network", runner.rooms.as_ref().map(|rooms| rooms.agent_network.clone()).unwrap_or_default()),
        ("left_behind", runner.left_behind.clone().unwrap_or_default()),
        ("joined", runner.joined.to_string()),
        ("joined_by", joined_by.clone().unwrap_or_default()),
        ("created_at", moment(*created_at)),
        ("last_seen_at", moment(runner.last_seen_at)),
        ("succeeded", tally.succeeded.to_string()),
        ("failed", tally.failed.to_string()),
        ("lost", tally.lost.to_string()),
        ("cancelled", tally.cancelled.to_string()),
        ("success_percent", tally.success_percent().map(|percent| percent.to_string()).unwrap_or_default()),
        ("mean_ms", tally.mean_ms.map(|mean| mean.to_string()).unwrap_or_default()),
        ("input_tokens", tally.input.to_string()),
        ("cached_tokens", tally.cached.to_string()),
        ("output_tokens", tally.output.to_string()),
        ("tokens_incomplete", tally.is_incomplete.to_string()),
    ];
    let fields = fields.into_iter().chain(reading_fields(runner.reading.as_ref())).map(|(name, value)| vec![name.to_owned(), value]);
    let current = current.iter().map(|attempt| attempt_fields("current", attempt));
    let history = history.iter().map(|attempt| attempt_fields("history", attempt));
    let stood = day.periods.iter().map(|period| period_fields("runner".into(), period));
    let slots = day.slots.iter().flat_map(|slot| slot.periods.iter().map(|period| period_fields(format!("slot {}", slot.number), period)));
    fields.chain(stood).chain(slots).chain(current).chain(history).collect()
}

fn period_fields(whose: String, period: &RunnerPeriod) -> Vec<String> {
    vec![
        whose,
        period.state.name().to_owned(),
        moment(period.since),
        period.until.map(moment).unwrap_or_default(),
        period.task_id.map(|id| id.to_string()).unwrap_or_default(),
    ]
}

fn attempt_fields(when: &str, attempt: &RunnerAttempt) -> Vec<String> {
    let at = |time: Option<Timestamp>| time.map(moment).unwrap_or_default();
    vec![
        when.to_owned(),
        attempt.task_id.to_string(),
        attempt.number.to_string(),
        attempt.state.name().to_owned(),
        moment(attempt.claimed_at),
        at(attempt.started_at),
        at(attempt.ended_at),
        attempt.is_blocked.to_string(),
        attempt.failure.as_ref().map(|failure| failure.code.name().to_owned()).unwrap_or_default(),
        attempt.task.clone(),
    ]
}

fn page(detail: &RunnerDetail, now: Timestamp) -> String {
    let runner = &detail.runner;
    let blocked = if runner.blocked > 0 { format!(", {} blocked", runner.blocked) } else { String::new() };
    let standing = format!("{}  {} of {} at work{blocked}", runner.state.name(), runner.busy, runner.slots);
    let mut lines = vec![format!("{bold}{}{bold:#}", shown(&runner.name), bold = bold()), standing, String::new()];
    lines.extend(runner.draining.as_ref().map(|draining| {
        let since = format!("since {}, as {} wants; `muster runner resume` ends it", moment(draining.since), draining.by);
        field("draining", &since)
    }));
    lines.extend(runner.slots_in_words().map(|words| field("slots", &words)));
    lines.extend(
        runner
            .unresponsive_since
            .map(|since| field("unanswered", &format!("it did not take what it was given, as was noticed {}", moment(since)))),
    );
    lines.extend(runner.lacks_disk().map(|why| field("no room", &why)));
    lines.push(field("id", &runner.id.to_string()));
    let created = moment(detail.created_at);
    lines.push(match &detail.joined_by {
        Some(by) => field("joined", &format!("{created}, with a token of {by}")),
        None => field("inside", &format!("a server, since {created}, for every workspace; what follows is for this one")),
    });
    lines.push(field("last seen", &moment(runner.last_seen_at)));
    lines.push(field("has", &runner.capabilities.join(" ")));
    lines.extend(runner.backends.iter().map(|found| field("agent", &format!("{} {}", found.backend.title(), found.version))));
    lines.extend(runner.no_sandbox.as_ref().map(|why| field("no sandbox", why)));
    if let Some(rooms) = &runner.rooms {
        lines.push(field("limits", &rooms.limits_in_words()));
        lines.push(field("network", &rooms.network_in_words()));
    }
    lines.extend(runner.left_behind.as_ref().map(|what| field("left", what)));
    lines.push(field("tally", &tally_in_words(&detail.tally)));
    lines.extend(mean_in_words(&detail.tally).map(|words| field("took", &words)));
    lines.extend(tokens_in_words(&detail.tally).map(|words| field("tokens", &words)));
    lines.extend(section("Machine", reading_lines(runner.reading.as_ref(), now)));
    lines.extend(section("At work", detail.current.iter().map(|attempt| attempt_line(attempt, now)).collect()));
    lines.extend(section("How it stood", detail.day.periods.iter().take(STOOD_SHOWN).map(|period| period_line(period, now)).collect()));
    lines.extend(section("History", detail.history.iter().map(|attempt| attempt_line(attempt, now)).collect()));
    lines.join("\n") + "\n"
}

fn period_line(period: &RunnerPeriod, now: Timestamp) -> String {
    let dim = dim();
    let (state, lasted) = (period.state.name(), duration(between(period.since, period.until.unwrap_or(now))));
    format!("{state:<9}  {lasted:<10}  {dim}since {}{dim:#}", moment(period.since))
}

fn tally_in_words(tally: &RunnerTally) -> String {
    let RunnerTally { succeeded, failed, lost, cancelled, .. } = tally;
    let ended = succeeded + failed + lost + cancelled;
    if ended == 0 {
        return "nothing has ended yet".into();
    }
    let percent = tally.success_percent().map(|percent| format!("; {percent} % success")).unwrap_or_default();
    format!("of the latest {ended}, {succeeded} succeeded, {failed} failed, {lost} lost, {cancelled} cancelled{percent}")
}

/// Of those that succeeded or failed.
fn mean_in_words(tally: &RunnerTally) -> Option<String> {
    Some(format!("{} on average", duration(Duration::from_millis(tally.mean_ms?.unsigned_abs()))))
}

fn tokens_in_words(tally: &RunnerTally) -> Option<String> {
    let RunnerTally { input, cached, output, .. } = tally;
    let at_least = if tally.is_incomplete { "at least " } else { "" };
    tally.tells_tokens().then(|| format!("{at_least}{input} in, {cached} of them cached, {output} out"))
}

/// Its task, how it stands, how long it took so far, and when it ended or was given to the runner.
fn attempt_line(attempt: &RunnerAttempt, now: Timestamp) -> String {
    let dim = dim();
    let (id, state, title, number) = (attempt.task_id.short(), attempt.state.name(), shown(&attempt.task), attempt.number);
    let took = duration(between(attempt.started_at.unwrap_or(attempt.claimed_at), attempt.ended_at.unwrap_or(now)));
    let at = moment(attempt.ended_at.unwrap_or(attempt.claimed_at));
    let blocked = if attempt.is_blocked { "  its agent waits for an answer" } else { "" };
    let why = attempt.failure.as_ref().map(|failure| format!("  {}", shown(&failure.message))).unwrap_or_default();
    format!("{id}  {state:<9}  {took:<10}  {dim}{at}{dim:#}  {title}  {dim}attempt {number}{dim:#}{blocked}{why}")
}

#[cfg(test)]
mod tests {
    use domain::{
        AttemptState, Failure, FailureCode, Runner, RunnerId, TaskId,
        runner::{Draining, HostReading, RunnerDay, RunnerReading, RunnerState, reading::Amount},
    };
    use uuid::Uuid;

    use super::*;

    fn attempt(state: AttemptState, ended_at: Option<Timestamp>, failure: Option<Failure>) -> RunnerAttempt {
        RunnerAttempt {
            task_id: TaskId(Uuid::from_u128(0x0c1d_2e3f)),
            task: "Tidy\nup".into(),
            number: 2,
            state,
            claimed_at: Timestamp::UNIX_EPOCH,
            started_at: Some(Timestamp::UNIX_EPOCH),
            ended_at,
            is_blocked: ended_at.is_none(),
            failure,
        }
    }

    fn detail() -> RunnerDetail {
        let rooms = Rooms {
            memory: Some(4 << 30),
            processes: None,
            processors: None,
            file: None,
            by_kernel: false,
            network: "example.org,example.net".into(),
            agent_network: "open".into(),
            may_be_left_out: false,
        };
        let runner = Runner {
            id: RunnerId(Uuid::from_u128(1)),
            name: "far".into(),
            slots: 4,
            slots_own: 2,
            slots_set: Some(4),
            busy: 1,
            blocked: 1,
            capabilities: vec!["linux".into(), "gpu".into()],
            online: true,
            state: RunnerState::Draining,
            draining: Some(Draining { since: Timestamp::UNIX_EPOCH, by: "Ada".into() }),
            unresponsive_since: None,
            joined: true,
            last_seen_at: Timestamp::UNIX_EPOCH,
            no_sandbox: None,
            backends: vec![],
            reading: None,
            rooms: Some(rooms),
            left_behind: Some("attempt 1: process 4711".into()),
        };
        let failure = Failure::new(FailureCode::CommandFailed, "exit status 1");
        let ended = Timestamp::UNIX_EPOCH + Duration::from_secs(5);
        let period =
            RunnerPeriod { state: RunnerState::Draining, since: Timestamp::UNIX_EPOCH, until: None, lasted_ms: None, task_id: None };
        RunnerDetail {
            runner,
            created_at: Timestamp::UNIX_EPOCH,
            joined_by: Some("Grace".into()),
            current: vec![attempt(AttemptState::Running, None, None)],
            history: vec![attempt(AttemptState::Failed, Some(ended), Some(failure))],
            tally: RunnerTally {
                succeeded: 2,
                failed: 1,
                cancelled: 1,
                mean_ms: Some(60_000),
                input: 1200,
                cached: 200,
                output: 34,
                is_incomplete: true,
                ..RunnerTally::default()
            },
            day: RunnerDay { periods: vec![period], slots: vec![] },
        }
    }

    #[test]
    fn a_person_sees_what_it_does_and_has_done() {
        let text = page(&detail(), Timestamp::UNIX_EPOCH + Duration::from_secs(60));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.starts_with("far\ndraining  1 of 4 at work, 1 blocked\n\n"), "{text}");
        assert!(text.contains("\ndraining    since 1970-01-01T00:00:00Z, as Ada wants; `muster runner resume` ends it\n"), "{text}");
        assert!(text.contains("\nslots       as was set; its machine says 2\n"), "{text}");
        assert!(text.contains("\njoined      1970-01-01T00:00:00Z, with a token of Grace\n"), "{text}");
        assert!(text.contains("\ntally       of the latest 4, 2 succeeded, 1 failed, 0 lost, 1 cancelled; 66 % success\n"), "{text}");
        assert!(text.contains("\ntook        1 min 0 s on average\ntokens      at least 1200 in, 200 of them cached, 34 out\n"), "{text}");
        assert!(text.contains("\nlimits      4 GiB of memory; looked at from outside\n"), "{text}");
        assert!(text.contains("\nnetwork     commands: example.org, example.net; agents: open\n"), "{text}");
        assert!(text.contains("\nleft        attempt 1: process 4711\n"), "{text}");
        let current = "  0c1d2e3f  running    1 min 0 s   1970-01-01T00:00:00Z  Tidy up  attempt 2  its agent waits for an answer";
        assert!(text.contains(&format!("\nAt work\n{current}\n")), "{text}");
        assert!(text.contains("\nHow it stood\n  draining   1 min 0 s   since 1970-01-01T00:00:00Z\n"), "{text}");
        let ended = "  0c1d2e3f  failed     5.0 s       1970-01-01T00:00:05Z  Tidy up  attempt 2  exit status 1";
        assert!(text.ends_with(&format!("\nHistory\n{ended}\n")), "{text}");
    }

    #[test]
    fn one_without_room_on_its_disk_says_so() {
        let disk = Some(Amount { used: 99 << 30, total: 100 << 30, is_limited: false });
        let host = HostReading { disk, ..HostReading::default() };
        let mut detail = detail();
        detail.runner.reading = Some(RunnerReading::seen(Timestamp::UNIX_EPOCH, host, Timestamp::UNIX_EPOCH));
        let why = "1.0 GiB of its disk are free, and it is given nothing new below 2.0 GiB";
        let text = anstream::adapter::strip_str(&page(&detail, Timestamp::UNIX_EPOCH)).to_string();
        assert!(text.contains(&format!("\nno room     {why}\n")), "{text}");
        assert!(lines(&detail).contains(&vec!["lacks_disk".to_owned(), why.to_owned()]));
    }

    #[test]
    fn one_that_is_inside_a_server_and_has_done_nothing_says_so() {
        let detail = RunnerDetail {
            joined_by: None,
            current: vec![],
            history: vec![],
            tally: RunnerTally::default(),
            day: RunnerDay::default(),
            ..detail()
        };
        let text = anstream::adapter::strip_str(&page(&detail, Timestamp::UNIX_EPOCH)).to_string();
        assert!(text.contains("\ninside      a server, since "), "{text}");
        assert!(text.ends_with("\ntally       nothing has ended yet\n\nMachine\n  no reading\n"), "{text}");
    }

    #[test]
    fn a_program_gets_a_line_for_each_attempt() {
        let lines = lines(&detail());
        let value = |name: &str| lines.iter().find(|line| line[0] == name).map(|line| line[1].as_str());
        assert_eq!([value("state"), value("draining_by"), value("success_percent")], [Some("draining"), Some("Ada"), Some("66")]);
        assert_eq!([value("slots"), value("slots_own"), value("slots_set")], [Some("4"), Some("2"), Some("4")]);
        assert_eq!([value("network"), value("left_behind")], [Some("example.org,example.net"), Some("attempt 1: process 4711")]);
        assert_eq!([value("mean_ms"), value("input_tokens"), value("tokens_incomplete")], [Some("60000"), Some("1200"), Some("true")]);
        let attempts: Vec<_> = lines.iter().filter(|line| line.len() > 5).map(|line| (&*line[0], &*line[3], &*line[8])).collect();
        assert_eq!(attempts, [("current", "running", ""), ("history", "failed", "command_failed")]);
    }
}
