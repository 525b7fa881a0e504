//! The models that Ollama has here, and those of them that it has loaded: the ones that were asked for something.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Any other name is played as well.
pub const MODELS: [&str; 2] = ["fake-large", "fake-small"];

pub struct Shelf(Mutex<Models>);

struct Models {
    there: BTreeSet<String>,
    loaded: BTreeSet<String>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self(Mutex::new(Models { there: MODELS.map(str::to_owned).into(), loaded: BTreeSet::new() }))
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Models> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn there(&self) -> Vec<String> {
        self.lock().there.iter().cloned().collect()
    }

    pub fn loaded(&self) -> Vec<String> {
        self.lock().loaded.iter().cloned().collect()
    }

    /// Whoever asks a model something has it loaded.
    pub fn load(&self, model: &str) {
        let mut models = self.lock();
        if models.there.contains(model) {
            models.loaded.insert(model.to_owned());
        }
    }

    pub fn add(&self, model: &str) {
        self.lock().there.insert(model.to_owned());
    }
}
