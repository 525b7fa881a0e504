//! The `opencode` backend: OpenCode as an agent of the Agent Client Protocol.
//!
//! Its provider is the one in `OPENAI_BASE_URL`, asked by chat completions. It asks leave for everything but looking around the repository,
//! whose settings it does not read. It runs the repository's plugins all the same, as a part of itself, so that nobody can be asked about
//! what they do. It has helpers whose questions come to nobody; it is given none.

use std::{ffi::OsString, fs, path::Path};

use domain::Backend;
use serde_json::{Value, json};

use super::{
    Beginning, Opening,
    acp::{self, Acp, Description, Resumes},
    question::Leave,
};

/// Where its models are unless the environment of the agents says otherwise.
pub(super) const PROVIDER: &str = "https://api.openai.com/v1";
/// Unless the task or the environment of the agents says otherwise: of a provider that it is told it knows no models.
const MODEL: &str = "gpt-5.2";

pub(crate) fn open(place: Beginning<'_>, prompt: &str) -> (Opening, Acp) {
    let given = |name: &str| place.given.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.to_str());
    let model = place.terms.model.as_deref().or(given("OPENAI_MODEL")).unwrap_or(MODEL);
    let mut config = config(given("OPENAI_BASE_URL").unwrap_or(PROVIDER), model, &place.worktree);
    if place.leave.is_a_judges() {
        // what it judges does not tell it how
        config["instructions"] = json!([]);
    }
    let own = |name: &str| OsString::from(place.config.join(name));
    let variables = vec![
        ("XDG_CONFIG_HOME", own("config")),
        ("XDG_DATA_HOME", own("data")),
        ("XDG_STATE_HOME", own("state")),
        ("XDG_CACHE_HOME", own("cache")),
        ("OPENCODE_CONFIG_CONTENT", config.to_string().into()),
        ("OPENCODE_DISABLE_PROJECT_CONFIG", "1".into()),
        ("OPENCODE_PURE", "1".into()),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1".into()),
        ("OPENCODE_DISABLE_CLAUDE_CODE", "1".into()),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1".into()),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1".into()),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1".into()),
        ("OPENCODE_DISABLE_SHARE", "1".into()),
    ];
    // it takes some from its user's home as well, where the work of an earlier round may have put them
    let places = [Some(place.worktree.as_path()), place.config.parent()];
    let is_held = matches!(place.leave, Leave::Ask(_) | Leave::Look | Leave::Speak);
    let is_unasked = is_held && places.into_iter().flatten().any(has_plugins);
    let about = Description {
        backend: Backend::OpenCode,
        resumes: Resumes::By { method: "session/resume", called: None },
        mode: None,
        commands: vec!['/'],
        title_is_the_command: false,
        // with its folder (1.18.33); it does not wait with that for the answer
        tells_more_of_a_command: true,
        ends_with_words: false,
        refused: is_unasked.then_some("the repository's own plugins, as nobody would be asked about what they do"),
        model: Some(model.to_owned()),
        is_unmeasured: false,
    };
    let (lines, dialogue) = acp::begin(about, place, prompt);
    (Opening { arguments: vec!["acp".into()], variables, files: vec![], lines }, dialogue)
}

fn config(url: &str, model: &str, worktree: &Path) -> Value {
    let mut provider = json!({
        "npm": "@ai-sdk/openai-compatible",
        "name": "muster",
        "options": {"baseURL": url, "apiKey": "{env:OPENAI_API_KEY}"},
        "models": {},
    });
    provider["models"][model] = json!({});
    let permission = json!({
        "*": "ask",
        "read": "allow", "list": "allow", "glob": "allow", "grep": "allow", "todowrite": "allow", "todoread": "allow",
        "task": "deny",
    });
    let model = format!("muster/{model}");
    // what a repository says in words is read, though not its settings
    let words = ["AGENTS.md", "CLAUDE.md"].map(|name| worktree.join(name));
    json!({
        "provider": {"muster": provider},
        "enabled_providers": ["muster"],
        "model": model,
        "small_model": model,
        "permission": permission,
        "instructions": words,
        "experimental": {"continue_loop_on_deny": true},
        "share": "disabled",
        "autoupdate": false,
        // programs that the repository brings along
        "formatter": false,
        "lsp": false,
        "snapshot": false,
    })
}

/// Whether there may be code of the repository's that OpenCode would run as a part of itself, as it does whatever it is told (1.18.33).
fn has_plugins(worktree: &Path) -> bool {
    let own = worktree.join(".opencode");
    let is_there = |name: &&str| own.join(name).symlink_metadata().is_ok();
    let settings = [worktree, own.as_path()].map(|folder| ["opencode.json", "opencode.jsonc"].map(|name| folder.join(name)));
    ["plugin", "plugins", "tool", "tools"].iter().any(is_there) || settings.as_flattened().iter().any(|file| may_name_some(file))
}

/// Settings are short files. What is anything else is not looked into.
fn may_name_some(settings: &Path) -> bool {
    let Ok(about) = settings.symlink_metadata() else { return false };
    if !about.is_file() || about.len() > LONGEST_SETTINGS {
        return true;
    }
    // a name can be written with escapes as well
    fs::read_to_string(settings).map_or(true, |text| text.contains("plugin") || text.contains("\\u"))
}

/// In bytes.
const LONGEST_SETTINGS: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
