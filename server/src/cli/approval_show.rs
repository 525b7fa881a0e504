//! `muster approval show`, and how the command line says what an agent asks.

use clap::Args;
use domain::{
    Approval, ApprovalStateName, AskedKind, Backend, Isolation, Timestamp,
    approval::PossibleAnswer,
    exact_text::{beginning, in_a_line},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_approval::{ApprovalName, find_approval, parse_approval_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    words::{approval_style, between, bold, dim, duration, moment, now},
};

#[derive(Args, Debug)]
#[command(after_help = "\
What it asks for is shown whole. Characters that could hide something are spelled out, such as
\\u{202e}.

Examples:
  muster approval show 0c1d2e3f
  muster approval show 0c1d2e3f --json | jq .input")]
pub struct ShowArgs {
    /// The approval: its full id, or the eight digits that lists show.
    #[arg(value_name = "APPROVAL", value_parser = parse_approval_name)]
    approval: ApprovalName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_approval(&client, &args.approval).await?;
    let approval = client.approval(id).await?;
    match args.output.output() {
        Output::Json => print_json(&approval)?,
        Output::Pipe => print_tab_separated(&fields(&approval))?,
        Output::Terminal => print_text(&page(&approval, now(), client.page_of(approval.task_id).as_str()))?,
    }
    Ok(Exit::Done)
}

/// Name and value per line.
fn fields(approval: &Approval) -> Vec<Vec<String>> {
    let closed = approval.closed.as_ref();
    let fields = [
        ("id", approval.id.to_string()),
        ("state", approval.state.name().to_owned()),
        ("kind", approval.kind.name().to_owned()),
        ("tool", approval.tool.clone()),
        ("subject", approval.subject.clone()),
        ("input", approval.input.to_string()),
        ("task", approval.task_id.to_string()),
        ("title", approval.task.clone()),
        ("repository", approval.repository.clone()),
        ("attempt", approval.attempt.to_string()),
        ("runner", approval.runner.clone()),
        ("isolation", approval.isolation.name().to_owned()),
        ("backend", approval.backend.as_ref().map(|backend| backend.name().into_owned()).unwrap_or_default()),
        ("asked_at", moment(approval.asked_at)),
        ("deadline", moment(approval.deadline)),
        ("answered_by_role", approval.answered_by_role.name().to_owned()),
        ("options", approval.options.iter().map(|option| option.answer.name()).collect::<Vec<_>>().join(" ")),
        ("closed_at", closed.map(|closed| moment(closed.at)).unwrap_or_default()),
        ("closed_by", closed.and_then(|closed| closed.by.clone()).unwrap_or_default()),
        ("message", closed.and_then(|closed| closed.message.clone()).unwrap_or_default()),
    ];
    fields.into_iter().map(|(name, value)| vec![name.to_owned(), in_a_line(&value)]).collect()
}

fn page(approval: &Approval, now: Timestamp, task_page: &str) -> String {
    let (bold, dim) = (bold(), dim());
    let field = |name: &str, value: &str| format!("{dim}{name:<11}{dim:#} {}", in_a_line(value));
    let section = |title: &str, lines: Vec<String>| {
        let head = [String::new(), format!("{bold}{title}{bold:#}")];
        head.into_iter().chain(lines.into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>()
    };
    let who = approval.backend.as_ref().map_or("An agent".into(), Backend::title);
    let mut lines =
        vec![format!("{bold}{who} asks for leave {}{bold:#}", to_do_what(approval.kind)), standing(approval, now), String::new()];
    lines.push(field("id", &approval.id.to_string()));
    lines.push(field("task", &format!("{} {}", approval.task_id.short(), approval.task)));
    lines.push(field("page", task_page));
    lines.push(field("repository", &approval.repository));
    lines.push(field("attempt", &format!("{} on {}", approval.attempt, approval.runner)));
    lines.push(field(
        "it runs",
        match approval.isolation {
            Isolation::Sandbox => "in a sandbox",
            Isolation::None => "without a sandbox: what is allowed is done as the user that runs the runner",
        },
    ));
    lines.push(field("asked", &format!("{}, to be answered by {}", moment(approval.asked_at), moment(approval.deadline))));
    lines.push(field("tool", &approval.tool));
    if approval.state == ApprovalStateName::Pending {
        let (id, role) = (approval.id.short(), approval.answered_by_role.name());
        lines.push(field("answer", &format!("muster approval allow {id}, or deny; takes the role {role}")));
    }
    let message = approval.closed.as_ref().and_then(|closed| closed.message.as_deref());
    lines.extend(message.map(|message| field("told", message)));
    lines.extend(section("What for", approval.subject.split('\n').map(in_a_line).collect()));
    let input = serde_json::to_string_pretty(&approval.input).unwrap_or_default();
    lines.extend(section("All that the tool is called with", input.split('\n').map(in_a_line).collect()));
    if let Some(always) = approval.option(PossibleAnswer::AllowAlways).filter(|always| !always.patterns.is_empty()) {
        let title = format!("What --always could say, which takes the role {}", always.role.name());
        lines.extend(section(&title, always.patterns.iter().map(|pattern| in_a_line(pattern)).collect()));
    }
    lines.join("\n") + "\n"
}

fn to_do_what(kind: AskedKind) -> &'static str {
    match kind {
        AskedKind::Command => "to run a command",
        AskedKind::Edit => "to change files",
        AskedKind::Tool => "to use a tool",
    }
}

fn standing(approval: &Approval, now: Timestamp) -> String {
    let (style, name) = (approval_style(approval.state), approval.state.name());
    let by = approval.closed.as_ref().and_then(|closed| closed.by.as_deref());
    let by = by.map(|by| format!(" by {}", in_a_line(by))).unwrap_or_default();
    let rest = match approval.state {
        ApprovalStateName::Pending => format!(", and denied in {} when nobody has answered", duration(between(now, approval.deadline))),
        ApprovalStateName::Allowed | ApprovalStateName::Denied => by,
        ApprovalStateName::Expired => ": nobody has answered in time, so it is denied".into(),
        ApprovalStateName::Withdrawn => ": the agent does not wait for it any more".into(),
    };
    format!("{style}{name}{style:#}{rest}")
}

/// Characters of a question that go into one line.
const LINE: usize = 200;

/// `command cargo test`
pub fn asked_in_words(approval: &Approval) -> String {
    format!("{} {}", approval.kind.name(), beginning(&approval.subject, LINE))
}

/// What an agent asks, for whoever watches its task.
pub fn question_line(approval: &Approval) -> String {
    let place = match approval.isolation {
        Isolation::Sandbox => "",
        Isolation::None => ", without a sandbox",
    };
    let is_whole = in_a_line(&approval.subject).chars().count() <= LINE && !approval.subject.contains('\n');
    // whoever does not see all of it here looks at it first
    let next = if approval.kind == AskedKind::Command && is_whole { "allow" } else { "show" };
    format!("The agent asks{place}: {} — muster approval {next} {}", asked_in_words(approval), approval.id.short())
}

#[cfg(test)]
mod tests {
    use domain::{
        ApprovalId, Role, TaskId,
        approval::{Closed, option::options},
    };
    use serde_json::json;

    use super::*;

    fn approval(kind: AskedKind, subject: &str) -> Approval {
        let id = uuid::Uuid::from_u128(0x0c1d_2e3f);
        let patterns = vec!["cargo test *".to_owned()];
        Approval {
            id: ApprovalId(id),
            task_id: TaskId(id),
            task: "Tidy up".into(),
            repository: "/srv/app".into(),
            attempt: 1,
            runner: "box".into(),
            isolation: Isolation::Sandbox,
            backend: Some(Backend::ClaudeCode),
            kind,
            tool: "Bash".into(),
            subject: subject.into(),
            input: json!({"command": subject}),
            asked_at: Timestamp::UNIX_EPOCH,
            deadline: Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(1800),
            answered_by_role: Role::Member,
            options: options(kind, Isolation::Sandbox, ApprovalStateName::Pending, &patterns),
            patterns,
            state: ApprovalStateName::Pending,
            closed: None,
        }
    }

    fn plain(page: &str) -> String {
        anstream::adapter::strip_str(page).to_string()
    }

    #[test]
    fn a_question_is_told_in_a_line() {
        let line = |kind, subject: &str| question_line(&approval(kind, subject));
        assert_eq!(line(AskedKind::Command, "cargo test"), "The agent asks: command cargo test — muster approval allow 0c1d2e3f");
        assert_eq!(line(AskedKind::Edit, "src/a.rs"), "The agent asks: edit src/a.rs — muster approval show 0c1d2e3f");
        for long in ["ls\nrm -r /".to_owned(), "x".repeat(1000), "\u{202e}".repeat(50)] {
            let said = line(AskedKind::Command, &long);
            assert!(said.ends_with("muster approval show 0c1d2e3f") && !said.contains(['\n', '\u{202e}']), "{said}");
        }
        let open = Approval { isolation: Isolation::None, ..approval(AskedKind::Command, "ls") };
        assert_eq!(question_line(&open), "The agent asks, without a sandbox: command ls — muster approval allow 0c1d2e3f");
    }

    #[test]
    fn whoever_decides_sees_all_of_it() {
        let now = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(600);
        let asked = approval(AskedKind::Command, "cargo test\nrm -r \u{202e}/");
        let text = plain(&page(&asked, now, "http://127.0.0.1:7878/tasks/1"));
        assert!(text.starts_with("Claude Code asks for leave to run a command\npending, and denied in 20 min 0 s"), "{text}");
        assert!(text.contains("\nWhat for\n  cargo test\n  rm -r \\u{202e}/\n"), "{text}");
        assert!(text.contains("muster approval allow 0c1d2e3f, or deny; takes the role member"), "{text}");
        assert!(text.contains("\nWhat --always could say, which takes the role admin\n  cargo test *\n"), "{text}");

        let closed = Closed { at: now, by: Some("Ada".into()), message: Some("use make".into()) };
        let denied = Approval { state: ApprovalStateName::Denied, closed: Some(closed), options: vec![], ..asked };
        let text = plain(&page(&denied, now, ""));
        assert!(text.contains("\ndenied by Ada\n") && text.contains("told        use make"), "{text}");
        assert!(!text.contains("muster approval allow") && !text.contains("--always"), "{text}");
        let fields = fields(&denied);
        let value = |name: &str| fields.iter().find(|field| field[0] == name).map(|field| field[1].as_str());
        assert_eq!([value("subject"), value("closed_by")], [Some(r"cargo test ⏎ rm -r \u{202e}/"), Some("Ada")]);
    }
}
