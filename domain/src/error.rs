//! The three ways in which the domain says no.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One field that is not right: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// A JSON pointer into the request, such as `/checks/0/target`.
    pub pointer: String,
    /// Stable, for programs: `required`, `too_long`, `unknown`, `not_found`, …
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// A request that cannot be carried out as it stands. Holds at least one field error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Invalid {
    pub errors: Vec<FieldError>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [one] => write!(f, "{}", one.message),
            many => write!(f, "{} fields need another look", many.len()),
        }
    }
}

impl Invalid {
    pub fn field(pointer: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        let mut errors = Errors::default();
        errors.add(pointer, code, message);
        Self { errors: errors.0 }
    }
}

impl Invalid {
    /// The same, said of a part that lies at `pointer` in a larger request.
    pub fn below(self, pointer: &str) -> Self {
        let errors = self.errors.into_iter().map(|error| FieldError { pointer: format!("{pointer}{}", error.pointer), ..error });
        Self { errors: errors.collect() }
    }
}

/// Collects field errors, so that a person sees all of them at once.
#[derive(Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    pub fn add(&mut self, pointer: impl Into<String>, code: &str, message: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code: code.into(), message: message.into() });
    }

    /// Text that a person wrote: not longer than `limit` characters, and free of NUL, which the database cannot store.
    pub fn text(&mut self, pointer: impl Into<String>, value: &str, limit: usize) {
        let pointer = pointer.into();
        if value.contains('\0') {
            self.add(pointer.clone(), "nul", "must not contain a NUL character");
        }
        let length = value.chars().count();
        if length > limit {
            self.add(pointer, "too_long", format!("is {length} characters long; at most {limit} are allowed"));
        }
    }

    /// As [`text`](Self::text), and not blank.
    pub fn required_text(&mut self, pointer: impl Into<String>, value: &str, limit: usize) {
        let pointer = pointer.into();
        if value.trim().is_empty() {
            self.add(pointer.clone(), "required", "must not be empty");
        }
        self.text(pointer, value, limit);
    }

    /// What is wrong with a part of the request.
    pub fn add_all(&mut self, invalid: Invalid) {
        self.0.extend(invalid.errors);
    }

    pub fn finish(self) -> Result<(), Invalid> {
        if self.0.is_empty() { Ok(()) } else { Err(Invalid { errors: self.0 }) }
    }
}

/// The state a thing is in does not allow what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot {act} a task that is {state}")]
pub struct InvalidTransition {
    pub act: &'static str,
    pub state: &'static str,
}

/// The actor is known, but may not do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this needs the permission to {0}")]
pub struct Forbidden(pub crate::Permission);
