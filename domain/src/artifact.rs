//! Files that an attempt left.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ArtifactId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    pub id: ArtifactId,
    /// The attempt's number within its task.
    pub attempt: i32,
    pub kind: ArtifactKind,
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ArtifactKind {
    /// What the attempt changed, as a unified diff from the base commit.
    Diff,
    /// What it changed inside a submodule, which no commit of its own repository holds.
    Patch,
}

/// What the diff of a repository is called: of the first, or of the one with this folder.
pub fn diff_name(folder: Option<&str>) -> String {
    folder.map_or_else(|| "changes.diff".to_owned(), |folder| format!("changes-{folder}.diff"))
}

/// Bytes of one artifact.
pub const ARTIFACT_LIMIT: usize = 8 * 1024 * 1024;
