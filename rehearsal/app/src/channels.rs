//! Channels and messages.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use crate::error::{Answer, Failure};
use crate::state::{Caller, Shared, User};

#[derive(Serialize, FromRow)]
pub(crate) struct Channel {
    id: Uuid,
    name: String,
    #[serde(rename = "channel_type")]
    #[sqlx(rename = "channel_type")]
    kind: String,
}

#[derive(Serialize, FromRow)]
pub(crate) struct Message {
    id: Uuid,
    channel_id: Uuid,
    author_id: Uuid,
    content: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
pub(crate) struct NewMessage {
    content: String,
}

pub(crate) async fn list(State(shared): State<Shared>, _: Caller) -> Answer<Json<Vec<Channel>>> {
    let channels = sqlx::query_as("SELECT id, name, channel_type FROM channels ORDER BY created_at, id");
    Ok(Json(channels.fetch_all(&shared.pool).await?))
}

pub(crate) async fn messages(
    State(shared): State<Shared>,
    _: Caller,
    Path(channel): Path<Uuid>,
) -> Answer<Json<Vec<Message>>> {
    let messages = sqlx::query_as(
        "SELECT id, channel_id, author_id, content, created_at FROM messages WHERE channel_id = $1 \
         ORDER BY created_at DESC LIMIT 50",
    );
    Ok(Json(messages.bind(channel).fetch_all(&shared.pool).await?))
}

pub(crate) async fn post(
    State(shared): State<Shared>,
    Caller(user): Caller,
    Path(channel): Path<Uuid>,
    Json(form): Json<NewMessage>,
) -> Answer<Json<Message>> {
    Ok(Json(send(&shared, &user, channel, &form.content).await?))
}

/// Stores a message and tells all open `WebSockets`.
pub(crate) async fn send(shared: &Shared, user: &User, channel: Uuid, content: &str) -> Answer<Message> {
    if content.trim().is_empty() || content.len() > 4000 {
        return Err(Failure::bad("Message must be between 1 and 4000 characters"));
    }
    let message: Message = sqlx::query_as(
        "INSERT INTO messages (id, channel_id, author_id, content) SELECT $1, id, $3, $4 FROM channels WHERE id = $2 \
         RETURNING id, channel_id, author_id, content, created_at",
    )
    .bind(Uuid::new_v4())
    .bind(channel)
    .bind(user.id)
    .bind(content)
    .fetch_optional(&shared.pool)
    .await?
    .ok_or_else(Failure::missing)?;
    // Without a listener there is nobody to tell.
    let _ = shared.events.send(json!({"type": "message", "data": message}).to_string());
    Ok(message)
}
