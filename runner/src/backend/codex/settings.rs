//! What Codex is told of its provider and of itself, however it is spoken with.

use std::ffi::OsString;

use serde_json::Value;

use super::PROVIDER;
use crate::backend::{Beginning, question::Leave};

/// How often it asks its provider again by itself. Longer waits are the task's own to say.
const RETRIES: u32 = 3;

/// As arguments.
pub(super) fn settings(place: &Beginning<'_>) -> Vec<OsString> {
    let url = place.given.iter().find(|(name, _)| name == "OPENAI_BASE_URL").and_then(|(_, value)| value.to_str()).unwrap_or(PROVIDER);
    let quoted = |text: &str| Value::from(text).to_string();
    let provider = format!(
        "model_providers.muster={{name=\"muster\",base_url={},env_key=\"OPENAI_API_KEY\",wire_api=\"responses\",request_max_retries={RETRIES},stream_max_retries={RETRIES}}}",
        quoted(url)
    );
    let mut settings = vec![provider, "model_provider=\"muster\"".into(), "check_for_update_on_startup=false".into()];
    if place.leave.is_a_judges() {
        // nor does the repository tell it what to do
        settings.push("project_doc_max_bytes=0".into());
    }
    if matches!(place.leave, Leave::Ask(_) | Leave::Look | Leave::Speak) {
        // or it types whatever it likes into a program that somebody has let it start
        settings.push("features.unified_exec_tty=false".into());
    }
    settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]).collect()
}
