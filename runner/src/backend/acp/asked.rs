//! What leave is asked for: what people see of it is what would be done, as exactly as the agent says it.

use std::path::Path;

use domain::AskedKind;
use serde_json::{Value, json};

use super::{
    calls::{Call, places},
    diff::diff,
};
use crate::backend::{in_the_worktree, json::text, where_it_is};

/// What is held against what it may do.
pub(super) struct Wanted {
    pub kind: AskedKind,
    /// As the agent calls it, or what kind of tool it is.
    pub tool: String,
    pub subject: String,
    pub input: Value,
    /// The agent has cut it: nobody can be shown all of it.
    pub is_cut: bool,
}

pub(super) fn kind(of_tool: &str) -> AskedKind {
    match of_tool {
        "execute" => AskedKind::Command,
        "edit" | "delete" | "move" => AskedKind::Edit,
        _ => AskedKind::Tool,
    }
}

/// A command is what it is called with, or the title where that is the command. In another folder it is another command.
pub(super) fn command(worktree: &Path, call: &Value, known: Option<&Call>, title: &str) -> Wanted {
    let raw = &call["rawInput"];
    let own = text(raw, "/command");
    let command = if own.is_empty() { title } else { own };
    let mut subject = command.to_owned();
    let inputs = [Some(raw), known.map(|call| &call.input)];
    let folders = inputs.into_iter().flatten().flat_map(|input| [text(input, "/workdir"), text(input, "/cwd")]);
    let folder = folders.into_iter().find(|folder| !folder.is_empty()).unwrap_or_default();
    let is_elsewhere = !folder.is_empty() && worktree.join(folder) != worktree;
    let note = own.is_empty().then(|| explanation(call)).flatten();
    if !subject.is_empty() {
        if is_elsewhere {
            subject.push_str(&format!("\nin {}", in_the_worktree(worktree, folder)));
        }
        if let Some(note) = note {
            subject.push_str(&format!("\n{note}"));
        }
    }
    let mut input = json!({"command": command});
    for (name, value) in [("cwd", folder), ("note", note.unwrap_or_default())] {
        if !value.is_empty() {
            input[name] = json!(value);
        }
    }
    Wanted { kind: AskedKind::Command, tool: "command".into(), subject, input, is_cut: false }
}

/// Whether a command is called with anything beside it, where it runs, what it is for and how long it may take: other arguments, an
/// environment, another folder than the one that would be shown. Shown as a command alone, it would not be what runs.
pub(super) fn is_more_than_a_command(call: &Value) -> bool {
    let raw = match &call["rawInput"] {
        Value::Object(raw) => raw,
        other => return !other.is_null(),
    };
    let is_shown = |(name, value): (&String, &Value)| match name.as_str() {
        "command" | "cwd" | "workdir" => value.is_string() || value.is_null(),
        "description" | "timeout" => !value.is_array() && !value.is_object(),
        _ => false,
    };
    let folders = ["/workdir", "/cwd"].map(|name| text(&call["rawInput"], name));
    let are_two = folders[0] != folders[1] && folders.iter().all(|folder| !folder.is_empty());
    are_two || !raw.iter().all(is_shown)
}

/// A command of that kind, as a tool that is used on all of it; with the title where that is the command.
pub(super) fn whole(call: &Value, known: Option<&Call>, title: &str) -> Wanted {
    let wanted = tool(call, known);
    let raw = &call["rawInput"];
    if title.is_empty() || !text(raw, "/command").is_empty() {
        return wanted;
    }
    Wanted { subject: format!("{} {title} {raw}", wanted.tool), input: json!({"title": title, "input": raw}), ..wanted }
}

/// A command of which nobody knows all.
pub(super) fn untold(call: &Value) -> Wanted {
    let input = json!({"command": text(&call["rawInput"], "/command")});
    Wanted { kind: AskedKind::Command, tool: "command".into(), subject: String::new(), input, is_cut: true }
}

/// Where and how Gemini CLI runs a command, unless that is as usual. It has no other place for that.
fn explanation(call: &Value) -> Option<&str> {
    let said = text(call, "/content/0/content/text");
    let is_usual = said.starts_with("[current working directory ") && !said.ends_with("[background]");
    (!said.is_empty() && !is_usual).then_some(said)
}

/// A change is of files, wherever links lead to them; one of which it does not say what it is has none that could be shown.
pub(super) fn edit(worktree: &Path, call: &Value) -> Wanted {
    let raw = call["rawInput"].as_object().filter(|raw| !raw.is_empty());
    let changes = changes(call);
    let is_told = !changes.is_empty() || raw.is_some() || text(call, "/kind") != "edit";
    let mut files: Vec<String> = vec![];
    for path in places(call).unwrap_or_default().iter().filter(|_| is_told) {
        let file = where_it_is(worktree, path);
        if !files.contains(&file) {
            files.push(file);
        }
    }
    let input = if changes.is_empty() { json!({"change": call["rawInput"]}) } else { json!({"changes": changes}) };
    Wanted { kind: AskedKind::Edit, tool: text(call, "/kind").into(), subject: files.join("\n"), input, is_cut: false }
}

/// Each with the files that it is of and its diff: the one that it is to be made by, or one of what it says was there and will be.
fn changes(call: &Value) -> Vec<Value> {
    let raw = &call["rawInput"];
    if let (Some(fields), Some(_)) = (raw.as_object(), raw["diff"].as_str()) {
        let mut fields = fields.clone();
        let path = fields.remove("filepath").unwrap_or_else(|| json!(""));
        fields.insert("path".into(), path);
        return vec![Value::Object(fields)];
    }
    let parts = call["content"].as_array().into_iter().flatten().filter(|part| text(part, "/type") == "diff");
    let change = |part: &Value| json!({"path": part["path"], "diff": diff(text(part, "/oldText"), text(part, "/newText"))});
    parts.map(change).collect()
}

/// Any other tool is used on all that it is called with. Of one that says only a title, the title; where that was cut or says nothing, nobody
/// can be shown it.
pub(super) fn tool(call: &Value, known: Option<&Call>) -> Wanted {
    let named = known.map(Call::tool).filter(|name| !name.is_empty());
    let kind = Some(text(call, "/kind")).filter(|kind| !kind.is_empty());
    let tool = named.or(kind).unwrap_or("tool").to_owned();
    let raw = &call["rawInput"];
    let has_input = match raw {
        Value::Object(raw) => !raw.is_empty(),
        Value::Array(raw) => !raw.is_empty(),
        Value::String(raw) => !raw.is_empty(),
        _ => false,
    };
    let title = text(call, "/title");
    let what = if has_input { raw.to_string() } else { title.to_owned() };
    // somewhere, as there is a mark behind it
    let is_cut = !has_input && (title.trim().is_empty() || title.contains("...") || title.contains('…'));
    let subject = format!("{tool} {what}");
    let input = match raw {
        _ if !has_input => json!({"title": title}),
        Value::Object(_) => raw.clone(),
        other => json!({"input": other}),
    };
    Wanted { kind: AskedKind::Tool, tool, subject, input, is_cut }
}
