//! Invite codes.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::error::{Answer, Failure};
use crate::state::{Caller, Shared};

const USABLE: &str =
    "NOT revoked AND (max_uses IS NULL OR uses < max_uses) AND (expires_at IS NULL OR expires_at > now())";

#[derive(Deserialize)]
pub(crate) struct NewInvite {
    max_uses: Option<i32>,
    expires_in_hours: Option<i64>,
}

#[derive(Serialize, FromRow)]
pub(crate) struct Invite {
    id: Uuid,
    code: String,
    created_by: Uuid,
    max_uses: Option<i32>,
    uses: i32,
    expires_at: Option<DateTime<Utc>>,
    revoked: bool,
    created_at: DateTime<Utc>,
}

pub(crate) async fn create(
    State(shared): State<Shared>,
    Caller(user): Caller,
    Json(form): Json<NewInvite>,
) -> Answer<Json<Invite>> {
    user.may_moderate()?;
    let code = Uuid::new_v4().simple().to_string()[..8].to_owned();
    let invite = sqlx::query_as(
        "INSERT INTO invites (id, code, created_by, max_uses, expires_at) VALUES ($1, $2, $3, $4, $5) RETURNING *",
    )
    .bind(Uuid::new_v4())
    .bind(code)
    .bind(user.id)
    .bind(form.max_uses)
    .bind(form.expires_in_hours.map(|hours| Utc::now() + Duration::hours(hours)))
    .fetch_one(&shared.pool)
    .await?;
    Ok(Json(invite))
}

pub(crate) async fn validate(State(shared): State<Shared>, Path(code): Path<String>) -> Answer<Json<Value>> {
    let query = format!("SELECT count(*) FROM invites WHERE code = $1 AND {USABLE}");
    let count: i64 = sqlx::query_scalar(&query).bind(code).fetch_one(&shared.pool).await?;
    Ok(Json(json!({"valid": count > 0})))
}

/// Counts one use of a code; a registration that fails afterwards has used it all the same.
pub(crate) async fn use_up(pool: &PgPool, code: &str) -> Answer<()> {
    let query = format!("UPDATE invites SET uses = uses + 1 WHERE code = $1 AND {USABLE}");
    let used = sqlx::query(&query).bind(code).execute(pool).await?;
    match used.rows_affected() {
        1 => Ok(()),
        _ => Err(Failure::bad("Invalid, expired, or fully used invite code")),
    }
}
