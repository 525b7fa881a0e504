//! The parts of a task's page.

pub mod acts;
pub mod attempts;
pub mod checks;
pub mod chosen;
pub mod definition;
pub mod diff;
pub mod facts;
pub mod gate;
pub mod landing;
pub mod log;
pub mod session;
pub mod steps;
pub mod timeline;
