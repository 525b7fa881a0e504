//! Which agents a machine that has just joined has, for whoever has joined it: its trial is a shell command, and says nothing of them.

use runner::{AgentConfig, AgentHere};

use super::{output::on_one_line, words::dim};

/// A line for each of those that are wanted, below a heading; nothing when none is.
pub async fn agent_lines(config: &AgentConfig) -> Vec<String> {
    lines(&runner::agents_here(config).await)
}

fn lines(agents: &[AgentHere]) -> Vec<String> {
    let width = agents.iter().map(|agent| agent.backend.title().len()).max().unwrap_or_default();
    let line = |agent: &AgentHere| {
        let (title, program, dim) = (agent.backend.title(), agent.program.display(), dim());
        let what = match &agent.found {
            Ok(Some((version, place))) => format!("{}  {dim}{}{dim:#}", on_one_line(version), on_one_line(&place.display().to_string())),
            Ok(None) => on_one_line(&format!("not found: there is no program {program}")),
            Err(why) => on_one_line(&format!("left out: {why} ({program})")),
        };
        format!("  {title:<width$}  {what}")
    };
    let mut lines: Vec<_> = agents.iter().map(line).collect();
    if !lines.is_empty() {
        lines.insert(0, "Agents".into());
    }
    if agents.iter().any(|agent| !matches!(agent.found, Ok(Some(_)))) {
        lines.push("  One that is installed on the runner's PATH is found within half a minute.".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use domain::Backend;

    use super::*;

    #[test]
    fn each_that_is_wanted_has_a_line_whether_it_is_there_or_not() {
        let agent = |backend: Backend, program: &str, found| AgentHere { backend, program: program.into(), found };
        let there = agent(Backend::ClaudeCode, "claude", Ok(Some(("2.1.328".into(), "/opt/a\nb/claude".into()))));
        let silent = agent(Backend::Codex, "codex", Err("asked for its version it fails".into()));
        let text = |agents: &[AgentHere]| anstream::adapter::strip_str(&lines(agents).join("\n")).to_string();
        assert_eq!(text(std::slice::from_ref(&there)), "Agents\n  Claude Code  2.1.328  /opt/a b/claude");
        let all = text(&[there, silent, agent(Backend::OpenCode, "/opt/opencode", Ok(None))]);
        let expected = "Agents\n  \
                        Claude Code  2.1.328  /opt/a b/claude\n  \
                        Codex        left out: asked for its version it fails (codex)\n  \
                        OpenCode     not found: there is no program /opt/opencode\n  \
                        One that is installed on the runner's PATH is found within half a minute.";
        assert_eq!(all, expected);
        assert_eq!(text(&[]), "");
    }
}
