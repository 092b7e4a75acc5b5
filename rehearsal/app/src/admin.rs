//! Server settings and roles.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::accounts::setting;
use crate::error::{Answer, Failure};
use crate::state::{Caller, Shared};

#[derive(Deserialize)]
pub(crate) struct Change {
    key: String,
    value: String,
}

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: String,
}

pub(crate) async fn settings(State(shared): State<Shared>, Caller(user): Caller) -> Answer<Json<Value>> {
    user.may_administrate()?;
    let mode = setting(&shared.pool, "registration_mode").await?;
    let name = setting(&shared.pool, "server_name").await?;
    Ok(Json(json!({"registration_mode": mode, "server_name": name})))
}

pub(crate) async fn change(
    State(shared): State<Shared>,
    Caller(user): Caller,
    Json(change): Json<Change>,
) -> Answer<StatusCode> {
    user.may_administrate()?;
    match (change.key.as_str(), change.value.as_str()) {
        ("registration_mode", "open" | "invite_only") | ("server_name", _) => {}
        ("registration_mode", _) => return Err(Failure::bad("Invalid registration mode")),
        _ => return Err(Failure::bad("Unknown setting")),
    }
    sqlx::query("UPDATE server_settings SET value = $2, updated_at = now() WHERE key = $1")
        .bind(change.key)
        .bind(change.value)
        .execute(&shared.pool)
        .await?;
    Ok(StatusCode::OK)
}

pub(crate) async fn role(
    State(shared): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<Uuid>,
    Json(form): Json<NewRole>,
) -> Answer<StatusCode> {
    user.may_administrate()?;
    if !matches!(form.role.as_str(), "admin" | "moderator" | "member") {
        return Err(Failure::bad("Invalid role"));
    }
    let changed = sqlx::query("UPDATE users SET role = $2 WHERE id = $1 AND role <> 'owner'")
        .bind(id)
        .bind(form.role)
        .execute(&shared.pool)
        .await?;
    if changed.rows_affected() == 1 { Ok(StatusCode::OK) } else { Err(Failure::missing()) }
}
