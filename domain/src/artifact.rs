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

/// The folder of the repository whose diff is called so; nothing for the first.
pub fn folder_of(name: &str) -> Option<&str> {
    name.strip_prefix("changes-")?.strip_suffix(".diff")
}

/// Bytes of one artifact.
pub const ARTIFACT_LIMIT: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_says_by_its_name_where_it_belongs() {
        assert_eq!([diff_name(None), diff_name(Some("api.v2"))], ["changes.diff", "changes-api.v2.diff"]);
        assert_eq!([folder_of("changes.diff"), folder_of("changes-api.v2.diff")], [None, Some("api.v2")]);
    }
}
