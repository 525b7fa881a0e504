//! What was asked so far, for tests that look at what an agent sent.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use super::wire::Wire;

/// Older ones are forgotten.
const KEPT: usize = 1000;
/// Characters of a prompt.
const PROMPT: usize = 2000;

#[derive(Clone, Debug, Serialize)]
pub struct Record {
    pub number: u64,
    pub wire: Wire,
    pub path: String,
    pub scenario: Option<String>,
    /// None: an aside, or nothing was played.
    pub step: Option<usize>,
    pub model: String,
    pub prompt: String,
    pub status: u16,
    pub tools: usize,
    /// Some key was sent.
    pub authorization: bool,
    /// None was but the word `none`, by which nobody is known.
    pub keyless: bool,
}

/// As much of a prompt as is kept.
pub fn excerpt(prompt: &str) -> String {
    prompt.chars().take(PROMPT).collect()
}

#[derive(Debug, Default)]
pub struct Requests {
    last: AtomicU64,
    kept: Mutex<VecDeque<Record>>,
}

impl Requests {
    /// From 1 on.
    pub fn next_number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn push(&self, record: Record) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(record);
    }

    /// Newest last.
    pub fn all(&self) -> Vec<Record> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
