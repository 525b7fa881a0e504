//! Files that attempts left.

use app::problem::Problem;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::ArtifactId;
use engine::Engine;
use http::header;

use super::extract::Id;
use crate::auth::Who;

/// An artifact's content, always as a download: it is somebody else's data.
#[utoipa::path(
    get, path = "/artifacts/{id}", tag = "artifacts", operation_id = "get_artifact", params(("id" = ArtifactId, Path)),
    responses(
        (status = 200, description = "The content.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_artifact(State(engine): State<Engine>, Who(actor): Who, Id(id): Id<ArtifactId>) -> Result<Response, Problem> {
    let (artifact, content) = engine.artifact(&actor, id).await?;
    let safe: String =
        artifact.name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{safe}\"")),
        (header::CONTENT_SECURITY_POLICY, "sandbox".to_owned()),
    ];
    Ok((headers, content).into_response())
}
