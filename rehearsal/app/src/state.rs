//! What all calls share, and who is calling.

use std::path::PathBuf;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::error::{Answer, Failure};
use crate::session;

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) pool: PgPool,
    pub(crate) storage: Option<PathBuf>,
    /// Events for all open `WebSockets`, as JSON text.
    pub(crate) events: broadcast::Sender<String>,
}

/// An account as the API shows it.
#[derive(Debug, Clone, Serialize, FromRow)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) role: String,
}

impl User {
    pub(crate) async fn of_token(pool: &PgPool, token: &str) -> Answer<Self> {
        let refused = || Failure::unauthorized("Invalid or expired token");
        let claims = session::verify(token).ok_or_else(refused)?;
        let user =
            sqlx::query_as("SELECT id, username, email, role FROM users WHERE id = $1").bind(claims.sub);
        user.fetch_optional(pool).await?.ok_or_else(refused)
    }

    pub(crate) fn may_administrate(&self) -> Answer<()> {
        match self.role.as_str() {
            "owner" | "admin" => Ok(()),
            _ => Err(Failure::forbidden("Insufficient permissions")),
        }
    }

    pub(crate) fn may_moderate(&self) -> Answer<()> {
        if self.role == "moderator" { Ok(()) } else { self.may_administrate() }
    }
}

/// The account whose token a call carries.
pub(crate) struct Caller(pub(crate) User);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Failure> {
        let token =
            parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Failure::unauthorized("Missing authorization header"))?;
        User::of_token(&shared.pool, token).await.map(Self)
    }
}
