//! The `gemini-cli` backend: Gemini CLI as an agent of the Agent Client Protocol.
//!
//! It takes the repository for one that it does not trust: then it reads none of its settings, and starts none of the hooks and servers that
//! they name. It counts the turns that it may take itself, for all that it is told in one round.

use serde_json::{Value, json};

use domain::Backend;

use super::{
    Beginning, Opening,
    acp::{self, Acp, Description, Resumes},
    question::Leave,
};

/// How often it asks its provider by itself, the first time included. Longer waits are the task's own to say.
const ATTEMPTS: u32 = 4;

pub(crate) fn open(place: Beginning<'_>, prompt: &str) -> (Opening, Acp) {
    let mut arguments = vec!["--acp".into()];
    if let Some(model) = &place.terms.model {
        arguments.extend(["--model".into(), model.into()]);
    }
    // or its own tools for files reach nothing there; a comma is the end of one to it
    if let Some(more) = place.more.as_ref().filter(|more| !more.to_string_lossy().contains(',')) {
        arguments.extend(["--include-directories".into(), more.into()]);
    }
    let variables = vec![
        ("GEMINI_CLI_HOME", place.config.clone().into()),
        ("GEMINI_CLI_TRUST_WORKSPACE", "false".into()),
        // it would start itself again, and ask for a container
        ("GEMINI_CLI_NO_RELAUNCH", "true".into()),
        ("GEMINI_SANDBOX", "false".into()),
        ("NO_BROWSER", "true".into()),
    ];
    let files = vec![(".gemini/settings.json", settings(place.terms.max_turns, place.leave).to_string())];
    let about = Description {
        backend: Backend::GeminiCli,
        // By its own name it cannot be found in the minute in which it has begun: loading it writes over it (0.61.0). There is no other.
        resumes: Resumes::By { method: "session/load", called: Some("latest") },
        mode: Some("default".into()),
        commands: vec!['/', '$'],
        title_is_the_command: true,
        tells_more_of_a_command: false,
        // what its model has broken off it ends as if all were well (0.61.0)
        ends_with_words: true,
        refused: None,
        model: None,
        is_unmeasured: false,
    };
    let (lines, dialogue) = acp::begin(about, place, prompt);
    (Opening { arguments, variables, files, lines }, dialogue)
}

fn settings(max_turns: Option<u32>, leave: Leave) -> Value {
    let mut settings = json!({
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false, "maxAttempts": ATTEMPTS},
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": true}},
        "privacy": {"usageStatisticsEnabled": false},
        "telemetry": {"enabled": false},
        "hooksConfig": {"enabled": false},
        // what its helpers ask comes to nobody, and they wait for ever
        "experimental": {"enableAgents": false},
    });
    if matches!(leave, Leave::Ask(_) | Leave::Look | Leave::Speak) {
        // it would use that without asking
        settings["tools"] = json!({"exclude": ["google_web_search"]});
    }
    if let Some(turns) = max_turns {
        settings["model"] = json!({"maxSessionTurns": turns});
    }
    settings
}

#[cfg(test)]
mod tests;
