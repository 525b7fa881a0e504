//! What a manifest says of how its agent is told where its model is: in which format it speaks there, and by which variables it hears of it.

use std::ffi::OsString;

use domain::endpoint::ModelFormat;
use serde::Deserialize;

use super::{is_musters, is_name};
use crate::backend::given::{Endpoint, NO_KEY};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// In which it speaks with an endpoint that was chosen for its task.
    pub format: ModelFormat,
    /// The variable that says where that is.
    url: String,
    /// The one that says which model to use, wherever that is; without it `{model}` does.
    model: Option<String>,
    /// The one that holds its key.
    key: Option<String>,
}

/// For whoever has written something else.
pub(super) const FORM: &str = "must be a table with `format` (anthropic-messages, openai-responses, openai-chat or ollama) and `url`, and perhaps `model` and `key`, each the name of a variable";

impl Provider {
    pub fn takes_a_model(&self) -> bool {
        self.model.is_some()
    }

    /// What it is told of its model and of where that is.
    pub fn told(&self, model: Option<&str>, endpoint: Option<Endpoint<'_>>) -> Vec<(OsString, OsString)> {
        let model = self.model.as_deref().zip(model.map(str::to_owned));
        let there = endpoint.map(|endpoint| {
            // it takes any key, and a client wants one
            let key = self.key.as_deref().map(|name| (name, NO_KEY.to_owned()));
            [Some((self.url.as_str(), endpoint.base_url())), key]
        });
        let told = there.into_iter().flatten().flatten().chain(model);
        told.map(|(name, value)| (name.into(), value.into())).collect()
    }

    pub(super) fn check(&self, says_a_model: bool) -> Result<(), String> {
        let names: Vec<_> = [Some(&self.url), self.model.as_ref(), self.key.as_ref()].into_iter().flatten().collect();
        if let Some(name) = names.iter().find(|name| is_musters(name)) {
            return Err(format!("`provider`: {name} is for Muster to say"));
        }
        let is_twice = names.iter().enumerate().any(|(at, name)| names[..at].contains(name));
        if is_twice || names.iter().any(|name| !is_name(name)) {
            return Err("`provider`: `url`, `model` and `key` are names of variables, each another one".into());
        }
        match says_a_model || self.takes_a_model() {
            true => Ok(()),
            false => {
                Err("`provider`: say by which variable it is told its `model`, as there is no {model} in `command` or `variables`".into())
            }
        }
    }
}
