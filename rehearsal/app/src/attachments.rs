//! Uploads and downloads; downloads need no login, as in the real app.

use std::path::Path as FilePath;

use axum::Json;
use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Answer, Failure};
use crate::state::{Caller, Shared};

pub(crate) async fn upload(
    State(shared): State<Shared>,
    Caller(user): Caller,
    mut form: Multipart,
) -> Answer<Json<Value>> {
    let folder = folder(&shared)?;
    let field = form.next_field().await.map_err(|e| Failure::bad(e.body_text()))?;
    let field = field.ok_or_else(|| Failure::bad("No file"))?;
    let filename = field.file_name().unwrap_or("file").to_owned();
    let content_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
    let bytes = field.bytes().await.map_err(|e| Failure::bad(e.body_text()))?;
    let size = i64::try_from(bytes.len()).map_err(|_| Failure::bad("File too large"))?;
    let id = Uuid::new_v4();
    let stored = tokio::fs::write(folder.join(id.to_string()), bytes).await;
    stored.map_err(|e| Failure::broken(format!("Storage failed: {e}")))?;
    sqlx::query(
        "INSERT INTO attachments (id, filename, content_type, size, uploader_id) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(&filename)
    .bind(&content_type)
    .bind(size)
    .bind(user.id)
    .execute(&shared.pool)
    .await?;
    Ok(Json(json!({"id": id, "filename": filename, "content_type": content_type, "size": size})))
}

pub(crate) async fn download(
    State(shared): State<Shared>,
    Path((id, _filename)): Path<(Uuid, String)>,
) -> Answer<Response> {
    let content_type: Option<String> =
        sqlx::query_scalar("SELECT content_type FROM attachments WHERE id = $1")
            .bind(id)
            .fetch_optional(&shared.pool)
            .await?;
    let content_type = content_type.ok_or_else(Failure::missing)?;
    let bytes =
        tokio::fs::read(folder(&shared)?.join(id.to_string())).await.map_err(|_| Failure::missing())?;
    Ok(([(CONTENT_TYPE, content_type)], bytes).into_response())
}

fn folder(shared: &Shared) -> Answer<std::path::PathBuf> {
    let off = || Failure::bad("File uploads are not enabled on this server");
    shared.storage.as_deref().map(FilePath::to_owned).map(|path| path.join("attachments")).ok_or_else(off)
}
