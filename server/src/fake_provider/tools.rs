//! What a scenario wants done, by the tools that the agent offers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::asked::Asked;

/// What a scenario may write for the agent's working directory, and for the word by which a verdict is known that the user has asked for.
const CWD: &str = "{{cwd}}";
const NONCE: &str = "{{nonce}}";

/// A tool and its input.
type Wanted = (String, Value);

/// # Errors
/// Why it cannot be done with what the request says; so it is with the others.
pub fn run(command: &str, asked: &Asked) -> Result<Wanted, String> {
    let command = with_cwd(command, asked)?;
    let input = |tool: &str| match tool {
        // Claude Code, Gemini CLI, OpenCode
        "Bash" | "run_shell_command" | "bash" => Some(json!({ "command": command, "description": "Play a step of a scenario" })),
        // Codex, by version and settings
        "exec_command" => Some(json!({ "cmd": command })),
        "shell_command" => Some(json!({ "command": command })),
        "shell" => Some(json!({ "command": ["bash", "-lc", command] })),
        _ => None,
    };
    first_fitting(asked, input).ok_or_else(|| no_tool("runs a command", asked))
}

pub fn write(path: &str, content: &str, asked: &Asked) -> Result<Wanted, String> {
    let (path, content) = (&with_cwd(path, asked)?, &with_cwd(content, asked)?);
    let place = asked.cwd().map_or_else(|| PathBuf::from(path), |cwd| Path::new(cwd).join(path));
    let input = |tool: &str| match tool {
        // Claude Code, Gemini CLI
        "Write" | "write_file" => Some(json!({ "file_path": place, "content": content })),
        // OpenCode
        "write" => Some(json!({ "filePath": place, "content": content })),
        _ => None,
    };
    if let Some(wanted) = first_fitting(asked, input) {
        return Ok(wanted);
    }
    // Codex has none of its own
    run(&write_command(path, content), asked).map_err(|_| no_tool("writes a file or runs a command", asked))
}

pub fn named(tool: &str, input: &Map<String, Value>, asked: &Asked) -> Result<Wanted, String> {
    Ok((tool.to_owned(), Value::Object(fields_with_cwd(input, asked)?)))
}

/// A text that the model says.
pub fn text(text: &str, asked: &Asked) -> Result<String, String> {
    if !text.contains(NONCE) {
        return Ok(text.to_owned());
    }
    let nonce = asked.nonce().ok_or_else(|| format!("The scenario wants {NONCE}, but the user has asked for no verdict."))?;
    Ok(text.replace(NONCE, nonce))
}

fn write_command(path: &str, content: &str) -> String {
    let folder = Path::new(path).parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
    let folder = folder.map(|folder| format!("mkdir -p {} && ", quoted(folder))).unwrap_or_default();
    format!("{folder}printf %s {} > {}", quoted(content), quoted(path))
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn first_fitting(asked: &Asked, input: impl Fn(&str) -> Option<Value>) -> Option<Wanted> {
    asked.tools.iter().find_map(|tool| Some((tool.clone(), input(tool)?)))
}

fn no_tool(does: &str, asked: &Asked) -> String {
    format!("The scenario wants a tool that {does}; the request offers: {}.", asked.tools.join(", "))
}

fn with_cwd(text: &str, asked: &Asked) -> Result<String, String> {
    if !text.contains(CWD) {
        return Ok(text.to_owned());
    }
    let cwd = asked.cwd().ok_or_else(|| format!("The scenario wants {CWD}, but the request does not say where the agent works."))?;
    Ok(text.replace(CWD, cwd))
}

fn fields_with_cwd(fields: &Map<String, Value>, asked: &Asked) -> Result<Map<String, Value>, String> {
    fields.iter().map(|(key, value)| Ok((key.clone(), value_with_cwd(value, asked)?))).collect()
}

fn value_with_cwd(value: &Value, asked: &Asked) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(with_cwd(text, asked)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| value_with_cwd(item, asked)).collect::<Result<_, _>>()?),
        Value::Object(fields) => Value::Object(fields_with_cwd(fields, asked)?),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(tools: &[&str]) -> Asked {
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        Asked { tools, context: vec!["<cwd>/w</cwd>".into()], ..Asked::default() }
    }

    #[test]
    fn a_command_is_run_by_the_tool_there_is() {
        let done = |tools: &[&str]| run("ls {{cwd}}", &offering(tools)).unwrap();
        let described = json!({ "command": "ls /w", "description": "Play a step of a scenario" });
        assert_eq!(done(&["Agent", "Bash", "Write"]), ("Bash".to_owned(), described.clone()));
        assert_eq!(done(&["run_shell_command"]), ("run_shell_command".to_owned(), described));
        assert_eq!(done(&["exec_command"]), ("exec_command".to_owned(), json!({ "cmd": "ls /w" })));
        assert_eq!(done(&["shell"]), ("shell".to_owned(), json!({ "command": ["bash", "-lc", "ls /w"] })));
        let refused = run("ls", &offering(&["Read", "Glob"])).unwrap_err();
        assert_eq!(refused, "The scenario wants a tool that runs a command; the request offers: Read, Glob.");
    }

    #[test]
    fn a_file_is_written_by_the_tool_there_is_or_by_a_command() {
        let done = |tools: &[&str]| write("a/it's.txt", "hi\n", &offering(tools)).unwrap();
        assert_eq!(done(&["Bash", "Write"]), ("Write".to_owned(), json!({ "file_path": "/w/a/it's.txt", "content": "hi\n" })));
        assert_eq!(done(&["write"]), ("write".to_owned(), json!({ "filePath": "/w/a/it's.txt", "content": "hi\n" })));
        let command = r"mkdir -p 'a' && printf %s 'hi
' > 'a/it'\''s.txt'";
        assert_eq!(done(&["exec_command"]), ("exec_command".to_owned(), json!({ "cmd": command })));
        assert!(write("a", "", &offering(&["Read"])).unwrap_err().contains("writes a file or runs a command"));
    }

    #[test]
    fn a_verdict_has_the_word_that_it_was_asked_for_with() {
        let judge = Asked { prompts: vec!["End with ```muster-verdict aB3\n{}".into()], ..Asked::default() };
        assert_eq!(text("```muster-verdict {{nonce}}\n{}", &judge).unwrap(), "```muster-verdict aB3\n{}");
        assert_eq!(text("{{cwd}}", &judge).unwrap(), "{{cwd}}");
        assert!(text("{{nonce}}", &Asked::default()).unwrap_err().contains("asked for no verdict"));
    }

    #[test]
    fn the_working_directory_is_put_into_inputs() {
        let Value::Object(input) = json!({ "file_path": "{{cwd}}/a.txt", "edits": [{ "at": "{{cwd}}" }], "all": true }) else { panic!() };
        let put = json!({ "file_path": "/w/a.txt", "edits": [{ "at": "/w" }], "all": true });
        assert_eq!(named("Edit", &input, &offering(&[])).unwrap(), ("Edit".to_owned(), put));
        assert!(named("Edit", &input, &Asked::default()).unwrap_err().contains("does not say where"));
    }
}
