//! What Ollama says: its answers to `/api/tags`, `/api/ps` and `/api/version`, and the lines of `/api/pull`.
//!
//! Of an answer that is not as Ollama writes it nothing is told: it may be another service's, which whoever looks here is not to read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    EndpointModel, ModelState, folded_name,
    pull::{PullEnd, PullProgress},
};

/// Layers of a model that are counted. The largest have some dozens.
const LAYERS: usize = 1000;
/// Characters of what names a layer.
const DIGEST: usize = 200;

/// It says that it has none by nothing, and says it: what has no such key is another service's.
#[derive(Deserialize)]
struct Tags {
    #[serde(deserialize_with = "Option::deserialize")]
    models: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    parameter_size: Option<String>,
    #[serde(default)]
    quantization_level: Option<String>,
}

#[derive(Deserialize)]
struct Running {
    #[serde(deserialize_with = "Option::deserialize")]
    models: Option<Vec<Loaded>>,
}

#[derive(Deserialize)]
struct Loaded {
    name: String,
    #[serde(default)]
    size_vram: Option<u64>,
}

/// The models that it has; those that it has loaded are warm.
pub fn models(tags: &[u8], running: &[u8]) -> Result<Vec<EndpointModel>, String> {
    let tags: Tags = serde_json::from_slice(tags).map_err(|_| "/api/tags is not as Ollama writes it")?;
    let running: Running = serde_json::from_slice(running).map_err(|_| "/api/ps is not as Ollama writes it")?;
    let loaded: BTreeMap<_, _> =
        running.models.unwrap_or_default().into_iter().map(|one| (folded_name(&one.name), one.size_vram)).collect();
    let told = |text: Option<String>| text.filter(|text| !text.is_empty());
    let model = |tag: Tag| {
        let warm = loaded.get(&folded_name(&tag.name));
        let details = tag.details.unwrap_or_default();
        EndpointModel {
            name: tag.name,
            state: if warm.is_some() { ModelState::Warm } else { ModelState::Cold },
            size: tag.size,
            quantization: told(details.quantization_level),
            parameters: told(details.parameter_size),
            vram: warm.copied().flatten(),
        }
    };
    Ok(tags.models.unwrap_or_default().into_iter().map(model).collect())
}

pub fn version(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    serde_json::from_slice::<Version>(text).ok().map(|version| version.version)
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    status: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    total: Option<u64>,
    #[serde(default)]
    completed: Option<u64>,
    #[serde(default)]
    error: Option<String>,
}

/// How far a pull has come, by its lines. Each layer is counted by itself there.
#[derive(Default)]
pub struct Pulling {
    layers: BTreeMap<String, (u64, u64)>,
    /// Of all of these: they are not added up anew with every line.
    completed: u128,
    total: u128,
}

impl Pulling {
    /// What there is after one more line.
    pub fn line(&mut self, text: &[u8]) -> PullProgress {
        let Ok(line) = serde_json::from_slice::<Line>(text) else {
            return self.progress("", Some(PullEnd::Failed { why: "a line is not as Ollama writes it".to_owned() }));
        };
        if let Some(why) = line.error {
            return self.progress(&line.status, Some(PullEnd::Failed { why }));
        }
        if let (Some(digest), Some(total)) = (line.digest, line.total) {
            let digest: String = digest.chars().take(DIGEST).collect();
            if self.layers.len() < LAYERS || self.layers.contains_key(&digest) {
                let completed = line.completed.unwrap_or(0).min(total);
                let before = self.layers.insert(digest, (completed, total)).unwrap_or_default();
                self.completed = self.completed + u128::from(completed) - u128::from(before.0);
                self.total = self.total + u128::from(total) - u128::from(before.1);
            }
        }
        let end = (line.status == "success").then_some(PullEnd::Done);
        self.progress(&line.status, end)
    }

    fn progress(&self, status: &str, end: Option<PullEnd>) -> PullProgress {
        let bytes = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        PullProgress { status: status.to_owned(), completed: bytes(self.completed), total: bytes(self.total), end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_is_warm() {
        let tags = br#"{"models": [
            {"name": "llama3:latest", "model": "llama3:latest", "size": 4661224676, "digest": "x",
             "details": {"parameter_size": "8.0B", "quantization_level": "Q4_0", "families": null}},
            {"name": "tiny:1b", "size": 7}]}"#;
        let running = br#"{"models": [{"name": "Llama3", "size_vram": 5137025024, "expires_at": "2026-01-01T00:00:00Z"}]}"#;
        let models = models(tags, running).unwrap();
        assert_eq!(
            models.iter().map(|model| (model.name.as_str(), model.state)).collect::<Vec<_>>(),
            [("llama3:latest", ModelState::Warm), ("tiny:1b", ModelState::Cold)]
        );
        assert_eq!(models[0].vram, Some(5_137_025_024));
        assert_eq!(models[0].in_words(), "4.3 GiB, Q4_0, 8.0B");
        assert_eq!(models[1].in_words(), "7 B");
    }

    #[test]
    fn a_machine_without_models_has_none_and_another_program_is_no_ollama() {
        let none = br#"{"models": null}"#;
        assert_eq!(models(none, none), Ok(vec![]));
        for tags in [br#"{"models": "secret"}"#.as_slice(), b"{}", br#"{"name": "another service"}"#] {
            assert_eq!(models(tags, none).unwrap_err(), "/api/tags is not as Ollama writes it");
        }
        for running in [b"[\"secret\"]".as_slice(), b"{}"] {
            assert_eq!(models(none, running).unwrap_err(), "/api/ps is not as Ollama writes it");
        }
        assert_eq!((version(br#"{"version": "0.9.1"}"#).as_deref(), version(b"no")), (Some("0.9.1"), None));
    }

    #[test]
    fn layers_are_counted_together() {
        let mut pulling = Pulling::default();
        assert_eq!(
            pulling.line(br#"{"status": "pulling manifest"}"#),
            PullProgress { status: "pulling manifest".into(), ..Default::default() }
        );
        pulling.line(br#"{"status": "pulling a", "digest": "a", "total": 100, "completed": 100}"#);
        let half = pulling.line(br#"{"status": "pulling b", "digest": "b", "total": 300, "completed": 100}"#);
        assert_eq!((half.completed, half.total, half.end), (200, 400, None));
        let nothing_yet = pulling.line(br#"{"status": "pulling c", "digest": "c", "total": 100}"#);
        assert_eq!((nothing_yet.completed, nothing_yet.total), (200, 500));
        let anew = pulling.line(br#"{"status": "pulling b", "digest": "b", "total": 200, "completed": 50}"#);
        assert_eq!((anew.completed, anew.total), (150, 400), "each counts as it was told last");
        assert_eq!(pulling.line(br#"{"status": "success"}"#).end, Some(PullEnd::Done));
    }

    #[test]
    fn no_endpoint_has_more_layers_counted_than_a_model_has() {
        let mut pulling = Pulling::default();
        let long = "x".repeat(1000);
        for number in 0..2 * LAYERS {
            pulling.line(format!(r#"{{"status": "pulling", "digest": "{number}{long}", "total": 1, "completed": 1}}"#).as_bytes());
        }
        assert_eq!(pulling.layers.len(), LAYERS);
        assert!(pulling.layers.keys().all(|digest| digest.len() <= DIGEST));
        let known = pulling.line(format!(r#"{{"status": "pulling", "digest": "0{long}", "total": 5}}"#).as_bytes());
        assert_eq!(known.total, 5 + LAYERS as u64 - 1, "those that are known go on");
    }

    #[test]
    fn a_pull_that_fails_says_why() {
        let failed = |line: &[u8]| match Pulling::default().line(line).end {
            Some(PullEnd::Failed { why }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(br#"{"error": "pull model manifest: file does not exist"}"#), "pull model manifest: file does not exist");
        assert_eq!(failed(b"<html>"), "a line is not as Ollama writes it");
    }
}
