//! Failures as the API tells them: a status and `{"error": "..."}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A failed call.
#[derive(Debug)]
pub(crate) struct Failure(StatusCode, String);

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }

    pub(crate) fn unauthorized(text: impl Into<String>) -> Self {
        Self(StatusCode::UNAUTHORIZED, text.into())
    }

    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self(StatusCode::FORBIDDEN, text.into())
    }

    pub(crate) fn missing() -> Self {
        Self(StatusCode::NOT_FOUND, "Not found".into())
    }

    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self(StatusCode::CONFLICT, text.into())
    }

    pub(crate) fn broken(text: impl Into<String>) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, text.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        eprintln!("database: {error}");
        Self::broken("Database operation failed")
    }
}
