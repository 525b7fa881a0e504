//! `muster task run`

use chrono::TimeDelta;
use clap::{Args, builder::PossibleValuesParser, value_parser};
use domain::{
    AgentTerms, Ask, Backend, CheckSpec, JudgeTerms, Land, NewTask, Priority, TaskView,
    agent::{self, ANSWER_MINUTES_MAX, NoBackend, VERIFICATION_RETRIES_MAX},
    task::{
        ATTEMPTS_MAX, Concurrency, Dependency, Inputs, NewRepository, On, RetryByClass, RetryPolicy, RetryStrategy, TIMEOUT_SECONDS_MAX,
        TaskPreview, Tier,
    },
};

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Output, OutputArgs, on_one_line, print_json, print_tab_separated, print_text, remark},
    repository::{current_repository, location, uncommitted_remark},
    task_result::shown,
    watch::watch_task,
    words::{dim, now},
};
use crate::config::parse_capability;

#[derive(Args, Debug)]
#[command(after_help = "\
A check is KIND=VALUE. All of them have to pass before the task counts as done:
  file_exists=PATH            the file is there
  command_succeeds=COMMAND    the shell command exits with 0
  test_passes=COMMAND|auto    the tests pass; auto finds the project's own command
  git_clean                   the work left nothing uncommitted
  review[=WHAT TO LOOK FOR]   an agent reads the change and lets it pass; once all above have
  model=QUESTION              a model that sees the change answers yes; once all above have

A task starts from what is committed. Files of a repository on this machine that are not are counted on standard
error, unless --json is there. With --watch the exit status is 0 only when the task succeeded, 1 when it did not.

Examples:
  muster task run --command 'make format' --check git_clean --watch
  muster task run Write a test for the date parser --check test_passes=auto
  muster task run Bring the dependencies up to date --ask commands --watch
  muster task run Make it faster --check test_passes=auto --check review --judge claude-code
  muster task run Train it again --capability gpu --tier complex --estimate 2h --retry-class provider_limit=5m,1h
  muster task run --repo https://example.org/app.git --command ./release.sh --after 0c1d2e3f
  muster task run Write a test for the date parser --check test_passes=auto --land pull_request
  muster task run --command 'make firmware' --submodules --lfs --check file_exists=firmware.bin
  muster task run Give every order a note, in the site and in its API --also https://example.org/api.git --also lib=../lib#v2
  muster task run --command './clean-up.sh \"$MUSTER_INPUT_FOLDER\"' --input folder=build --after 0c1d2e3f:end")]
pub struct RunArgs {
    /// What to do, in words, for the agent of the runner.
    #[arg(value_name = "PROMPT", required_unless_present = "command", conflicts_with = "command")]
    prompt: Vec<String>,
    /// What to do, as a shell command.
    #[arg(long, short, value_name = "COMMAND")]
    command: Option<String>,
    /// The git repository: a path on the runner's machine or a URL [default: the one around the current folder].
    #[arg(long, value_name = "PATH|URL")]
    repo: Option<String>,
    /// One line that names the task [default: the beginning of the command or prompt].
    #[arg(long)]
    title: Option<String>,
    /// What has to hold when the work is done; may be given more than once.
    #[arg(long = "check", value_name = "KIND=VALUE", value_parser = CheckSpec::parse)]
    checks: Vec<CheckSpec>,
    /// The agent that judges, in each review and question to a model: so far claude-code alone [default: one that the runner has].
    #[arg(long, value_name = "AGENT", value_parser = parse_judge)]
    judge: Option<Backend>,
    /// The model that judges, as its agent knows it [default: the agent's own choice].
    #[arg(long, value_name = "NAME")]
    judge_model: Option<String>,
    /// How sure whoever judges has to be, in percent, for the change to pass.
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(1..=100))]
    judge_at_least: Option<u8>,
    /// The branch, tag or commit to start from [default: the repository's default branch].
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// A repository that it works on beside that one, with a worktree in ../more/FOLDER; may be given more than once.
    #[arg(long, value_name = "[FOLDER=]PATH|URL[#REF]")]
    also: Vec<String>,
    /// Fetch the repository's submodules as well.
    #[arg(long)]
    submodules: bool,
    /// Fetch the files that Git LFS keeps for the repository as well; without, the work finds pointers to them.
    #[arg(long)]
    lfs: bool,
    /// The lane the task queues in.
    #[arg(long, default_value = Priority::Normal.name(), value_parser = PossibleValuesParser::new(Priority::ALL.map(Priority::name)))]
    priority: String,
    /// A task that has to succeed first, or with :end only to end; may be given more than once.
    #[arg(long, value_name = "TASK[:end]", value_parser = parse_after)]
    after: Vec<After>,
    /// A value it is given, seen by a command as MUSTER_INPUT_NAME; may be given more than once. With := the value is JSON.
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = parse_input)]
    inputs: Vec<(String, serde_json::Value)>,
    /// Skip it unless this CEL expression over its inputs is true: inputs.kind == 'full'.
    #[arg(long, value_name = "CEL")]
    when: Option<String>,
    /// How long to wait once what it waits for is there.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    delay: Option<u32>,
    /// How long one attempt may work: 90, 90s, 10m, 2h [default: an hour].
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<u32>,
    /// How many attempts may fail before the task has failed [default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(ATTEMPTS_MAX)))]
    attempts: Option<u32>,
    /// How the waits between attempts grow.
    #[arg(long, value_name = "STRATEGY", default_value = RetryStrategy::Exponential.name(), value_parser = PossibleValuesParser::new(RetryStrategy::ALL.map(RetryStrategy::name)))]
    retry: String,
    /// The first wait between attempts, at most an hour [default: 1s].
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    retry_base: Option<u32>,
    /// The longest wait between attempts [default: 1m].
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    retry_cap: Option<u32>,
    /// What is different when it was not the task that failed, such as provider_limit=linear,5m,1h; classes: runner_lost, provider_limit, infrastructure.
    #[arg(long, value_name = "CLASS=STRATEGY,BASE,CAP", value_parser = parse_retry_class)]
    retry_class: Vec<RetryByClass>,
    /// Not before this time has passed: 90s, 10m, 2h.
    #[arg(long = "in", value_name = "TIME", value_parser = parse_seconds)]
    start_in: Option<u32>,
    /// Not before this moment, such as 2026-11-21T08:00:00Z.
    #[arg(long, value_name = "MOMENT", conflicts_with = "start_in")]
    at: Option<domain::Timestamp>,
    /// To be complete when this time has passed, or it fails: 30m, 2h, 1d.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    within: Option<u32>,
    /// Set it aside when no runner has taken it within this time.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    queue_time: Option<u32>,
    /// What it shares with other tasks, and how many of them run at once [default: 1].
    #[arg(long, value_name = "KEY[=N]", value_parser = Concurrency::parse)]
    share: Option<Concurrency>,
    /// A word to find it by; may be given more than once.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// What it belongs to elsewhere, such as a ticket; the work sees it as MUSTER_CORRELATION_ID.
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// What its runner must have, such as gpu; may be given more than once.
    #[arg(long = "capability", value_name = "WORD", value_parser = parse_capability)]
    capabilities: Vec<String>,
    /// The agent that is given the prompt: claude-code, codex, gemini-cli, opencode, or one of a runner's manifests, such as acp:goose
    /// [default: whichever the runner has of the first four].
    #[arg(long, value_name = "AGENT", value_parser = parse_agent, conflicts_with = "command")]
    agent: Option<Backend>,
    /// The model, as the agent knows it [default: the agent's own choice].
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    model: Option<String>,
    /// Answers of the model after which the agent is stopped.
    #[arg(long, value_name = "N", conflicts_with = "command")]
    max_turns: Option<u32>,
    /// What an attempt may cost at most, in dollars as the agent counts them, such as 2.50.
    #[arg(long, value_name = "DOLLARS", value_parser = parse_dollars, conflicts_with = "command")]
    max_cost: Option<u32>,
    /// What the agent asks people for, who then answer: muster approval list [default: nothing].
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(Ask::ALL.map(Ask::name)), conflicts_with = "command")]
    ask: Option<String>,
    /// After how many minutes without an answer what it asks for is denied [default: 30].
    #[arg(long, value_name = "N", conflicts_with = "command", value_parser = value_parser!(u32).range(1..=ANSWER_MINUTES_MAX as i64))]
    answer_minutes: Option<u32>,
    /// How often the agent is told which checks did not pass, and goes on [default: 2].
    #[arg(long, value_name = "N", conflicts_with = "command", value_parser = value_parser!(u32).range(0..=VERIFICATION_RETRIES_MAX as i64))]
    verification_retries: Option<u32>,
    /// How hard it is [default: as it reads].
    #[arg(long, value_parser = PossibleValuesParser::new(Tier::ALL.map(Tier::name)))]
    tier: Option<String>,
    /// How long it is expected to take, shown beside what it took.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    estimate: Option<u32>,
    /// What becomes of its result once it has passed its checks: it stays on its branch, or that is pushed, or a pull request is opened.
    #[arg(long, value_name = "HOW", default_value = Land::None.name(), value_parser = PossibleValuesParser::new(Land::ALL.map(Land::name)))]
    land: String,
    /// A file the work is about; may be given more than once.
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<String>,
    /// What counts as done, in words; may be given more than once.
    #[arg(long = "criterion", value_name = "TEXT")]
    criteria: Vec<String>,
    /// Say what would become of it and why, and hand in nothing.
    #[arg(long, conflicts_with = "watch")]
    preview: bool,
    /// Show the log and what happens until the task is final.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let mut new = new_task(args)?;
    // Before anything is asked of the server, so that a wrong command line is told as one.
    new.validate().map_err(CliError::Invalid)?;
    let client = args.connection.client()?;
    for After { task, on } in &args.after {
        new.depends_on.push(Dependency { on: on.clone(), ..find_task(&client, task).await?.into() });
    }
    let output = args.output.output();
    if args.preview {
        let preview = client.preview_task(&new).await?;
        remark_on_what_is_not_committed(&new, output);
        return print_preview(&preview, output);
    }
    let task = client.create_task(&new).await?;
    remark_on_what_is_not_committed(&new, output);
    if let Some(wait) = task.runner_wait.as_ref().filter(|wait| !wait.code.passes()) {
        remark(&wait.in_words());
    }
    if args.watch {
        return watch_task(&client, &task, output).await;
    }
    print(&client, &task, output)?;
    Ok(Exit::Done)
}

/// A program that reads the answer has not asked for it.
fn remark_on_what_is_not_committed(new: &NewTask, output: Output) {
    if output == Output::Json {
        return;
    }
    let others = new.repositories.iter().map(|one| one.url.as_str());
    std::iter::once(new.repository.as_str()).chain(others).filter_map(uncommitted_remark).for_each(|said| remark(&said));
}

fn print_preview(preview: &TaskPreview, output: Output) -> Result<Exit, CliError> {
    match output {
        Output::Json => print_json(preview)?,
        Output::Terminal | Output::Pipe => {
            let lines: Vec<_> = preview.reasons.iter().map(|reason| on_one_line(reason)).collect();
            print_text(&format!("{}\n{}\n", preview.state.name(), lines.join("\n")))?;
        }
    }
    Ok(Exit::Done)
}

fn new_task(args: &RunArgs) -> Result<NewTask, CliError> {
    let repository = match &args.repo {
        Some(repository) => location(repository)?,
        None => current_repository()?,
    };
    let prompt = args.prompt.join(" ");
    let title = args.title.clone().unwrap_or_else(|| title_of(args.command.as_deref().unwrap_or(&prompt)));
    let priority = Priority::ALL.into_iter().find(|priority| priority.name() == args.priority).unwrap_or_default();
    let usual = NewTask::command(title, repository, "");
    Ok(NewTask {
        command: args.command.clone(),
        prompt: args.command.is_none().then_some(prompt),
        base_ref: args.base.clone(),
        repositories: args.also.iter().map(|text| also(text)).collect::<Result<_, _>>()?,
        submodules: args.submodules,
        lfs: args.lfs,
        files: args.files.clone(),
        success_criteria: args.criteria.clone(),
        checks: checks(args)?,
        priority,
        inputs: args.inputs.iter().cloned().collect::<Inputs>(),
        when: args.when.clone(),
        delay_seconds: args.delay,
        timeout_seconds: args.timeout.unwrap_or(usual.timeout_seconds),
        max_attempts: args.attempts.unwrap_or(usual.max_attempts),
        retry: RetryPolicy {
            strategy: RetryStrategy::parse(&args.retry).unwrap_or_default(),
            base_seconds: args.retry_base.unwrap_or(usual.retry.base_seconds),
            cap_seconds: args.retry_cap.unwrap_or(usual.retry.cap_seconds.max(args.retry_base.unwrap_or_default())),
            by_class: args.retry_class.iter().fold(RetryByClass::default(), |all, one| one.over(all)),
        },
        run_at: args.at.or_else(|| args.start_in.map(|seconds| now() + TimeDelta::seconds(seconds.into()))),
        complete_by: args.within.map(|seconds| now() + TimeDelta::seconds(seconds.into())),
        queue_seconds: args.queue_time,
        concurrency: args.share.clone(),
        tags: args.tags.clone(),
        capabilities: args.capabilities.clone(),
        agent: AgentTerms {
            backend: args.agent.clone(),
            model: args.model.clone(),
            max_turns: args.max_turns,
            max_cost_cents: args.max_cost,
            ask: args.ask.as_deref().and_then(Ask::parse),
            answer_minutes: args.answer_minutes,
            max_verification_retries: args.verification_retries,
        },
        tier: args.tier.as_deref().and_then(Tier::parse),
        estimate_seconds: args.estimate,
        land: Land::parse(&args.land).unwrap_or_default(),
        correlation_id: args.correlation.clone(),
        ..usual
    })
}

/// As it is written; a path is made absolute, and its folder is called as it ends then.
fn also(text: &str) -> Result<NewRepository, CliError> {
    let named = NewRepository::parse(text);
    Ok(NewRepository { url: location(&named.url)?, ..named })
}

/// What has to hold, each judge as all of them are to be.
fn checks(args: &RunArgs) -> Result<Vec<CheckSpec>, CliError> {
    let (backend, model) = (args.judge.clone(), args.judge_model.clone());
    let terms = JudgeTerms { backend, model, at_least: args.judge_at_least, ..JudgeTerms::default() };
    if !terms.is_usual() && !args.checks.iter().any(|check| check.kind.is_judge()) {
        let message = "--judge, --judge-model and --judge-at-least are for a check that judges, and there is none".into();
        return Err(CliError::Usage { message, remedy: "Add --check review, or --check 'model=QUESTION'.".into() });
    }
    let judged = |check: &CheckSpec| match check.kind.is_judge() {
        true => CheckSpec { judge: terms.clone(), ..check.clone() },
        false => check.clone(),
    };
    Ok(args.checks.iter().map(judged).collect())
}

fn parse_judge(text: &str) -> Result<Backend, &'static str> {
    let judge = Backend::parse(text).ok().filter(Backend::may_judge);
    judge.ok_or("must be claude-code: no other agent has been measured as a judge")
}

fn parse_agent(text: &str) -> Result<Backend, NoBackend> {
    Backend::parse(text)
}

/// In cents.
fn parse_dollars(text: &str) -> Result<u32, &'static str> {
    agent::cents(text).ok_or("must be dollars with at most two decimals, such as 2.50")
}

/// Another task, and what has to become of it.
#[derive(Clone, Debug)]
struct After {
    task: TaskName,
    on: On,
}

fn parse_after(text: &str) -> Result<After, String> {
    let (task, on) = match text.split_once(':') {
        None => (text, On::Success),
        Some((task, "success")) => (task, On::Success),
        Some((task, "end")) => (task, On::End),
        Some((_, other)) => {
            return Err(format!("'{other}' is not what a task can be waited for; give TASK, or TASK:end to wait for any end"));
        }
    };
    Ok(After { task: parse_task_name(task)?, on })
}

/// `name=text` or `name:=JSON`
fn parse_input(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, or NAME:=JSON")?;
    match name.strip_suffix(':') {
        Some(name) => serde_json::from_str(value).map(|value| (name.to_owned(), value)).map_err(|error| format!("is not JSON: {error}")),
        None => Ok((name.to_owned(), value.into())),
    }
}

/// `provider_limit=linear,5m,1h`
pub fn parse_retry_class(text: &str) -> Result<RetryByClass, String> {
    let mut by_class = RetryByClass::default();
    by_class.read(text, |time| parse_seconds(time).ok())?;
    Ok(by_class)
}

const TITLE_CHARACTERS: usize = 80;

/// The first line of the work, cut at a word.
fn title_of(work: &str) -> String {
    let line = work.trim().lines().next().unwrap_or_default();
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= TITLE_CHARACTERS {
        return line;
    }
    let cut: String = line.chars().take(TITLE_CHARACTERS).collect();
    let at_word = cut.rsplit_once(' ').map(|(words, _)| words).filter(|words| words.chars().count() > TITLE_CHARACTERS / 2);
    format!("{}…", at_word.unwrap_or(&cut))
}

/// `90`, `90s`, `10m`, `2h`, `1d`
pub fn parse_seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("give seconds, or a number with s, m, h or d, such as 10m".into()),
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    match seconds {
        Some(seconds @ 1..=TIMEOUT_SECONDS_MAX) => Ok(seconds),
        _ => Err("must be between 1 second and 1 day".into()),
    }
}

fn print(client: &Client, task: &TaskView, output: Output) -> Result<(), CliError> {
    let summary = &task.summary;
    match output {
        Output::Json => print_json(task)?,
        Output::Pipe => print_tab_separated(&[vec![summary.id.to_string()]])?,
        Output::Terminal => {
            let (id, dim) = (summary.id.short(), dim());
            let state = summary.state.name().phrase();
            print_text(&format!(
                "Task {id} “{}”: {state}\n  {dim}page:{dim:#} {}\n  {dim}log:{dim:#}  muster task logs {id} --follow\n",
                shown(&summary.title),
                client.page_of(summary.id)
            ))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        for (text, seconds) in [("600", 600), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
        for bad in ["", "0", "m", "-5", "1.5h", "2d", "99999999999", "10x"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_task_is_waited_for_as_it_succeeds_or_ends() {
        let on = |text: &str| parse_after(text).map(|after| after.on);
        assert_eq!([on("0c1d2e3f"), on("0c1d2e3f:success"), on("0c1d2e3f:end")], [Ok(On::Success), Ok(On::Success), Ok(On::End)]);
        assert!(on("0c1d2e3f:later").is_err() && on("x").is_err());
    }

    #[test]
    fn an_input_is_text_unless_it_says_otherwise() {
        assert_eq!(parse_input("version=1.2=3"), Ok(("version".into(), "1.2=3".into())));
        assert_eq!(parse_input("count:=3"), Ok(("count".into(), 3.into())));
        assert!(parse_input("count:=three").is_err() && parse_input("count").is_err());
    }

    #[test]
    fn a_class_of_failure_may_be_waited_for_in_its_own_way() {
        let limit = parse_retry_class("provider_limit=linear,5m,1h").unwrap().provider_limit.unwrap();
        assert_eq!((limit.strategy, limit.base_seconds, limit.cap_seconds), (Some(RetryStrategy::Linear), Some(300), Some(3600)));
        assert!(parse_retry_class("bad_luck=5m").is_err() && parse_retry_class("infrastructure=sometimes").is_err());
    }

    #[test]
    fn a_title_is_the_beginning_of_the_work() {
        assert_eq!(title_of("  make tidy\nmake test"), "make tidy");
        let long = title_of(&"several words ".repeat(20));
        assert!(long.chars().count() <= TITLE_CHARACTERS + 1 && long.ends_with("several…"), "{long}");
        assert_eq!(title_of(&"x".repeat(200)).chars().count(), TITLE_CHARACTERS + 1);
    }
}
