//! Routes, the listening socket and its end.

use anyhow::{Context, Result};
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tower_http::services::{ServeDir, ServeFile};

use crate::config::Config;
use crate::state::Shared;
use crate::{accounts, admin, attachments, channels, invites, socket};

const BODY_BYTES: usize = 1 << 20;
const ATTACHMENT_BYTES: usize = 250 << 20;

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(config: Config, pool: PgPool) -> Result<()> {
    let shared = Shared { pool, storage: config.storage, events: broadcast::channel(64).0 };
    let listener =
        TcpListener::bind(config.bind).await.with_context(|| format!("Failed to bind {}", config.bind))?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked_to_end = async move {
        tokio::select! {
            _ = term.recv() => {},
            _ = int.recv() => {},
        }
    };
    println!("Echora stand-in {} listens on {}", env!("CARGO_PKG_VERSION"), config.bind);
    axum::serve(listener, router(shared)).with_graceful_shutdown(asked_to_end).await.context("Server failed")
}

fn router(shared: Shared) -> Router {
    let upload = post(attachments::upload).layer(DefaultBodyLimit::max(ATTACHMENT_BYTES));
    let router = Router::new()
        .route("/api/health", get(health))
        .route("/api/auth/register", post(accounts::register))
        .route("/api/auth/login", post(accounts::login))
        .route("/api/auth/me", get(accounts::me))
        .route("/api/auth/password", post(accounts::password))
        .route("/api/admin/settings", get(admin::settings).put(admin::change))
        .route("/api/admin/users/{id}/role", put(admin::role))
        .route("/api/invites", post(invites::create))
        .route("/api/invites/{code}/validate", get(invites::validate))
        .route("/api/channels", get(channels::list))
        .route("/api/channels/{id}/messages", get(channels::messages).post(channels::post))
        .route("/api/attachments", upload)
        .route("/api/attachments/{id}/{filename}", get(attachments::download))
        .route("/ws", get(socket::upgrade))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(shared);
    // The front end, where the image brings one: every unknown path is its index page.
    if std::path::Path::new("static").is_dir() {
        router.fallback_service(ServeDir::new("static").fallback(ServeFile::new("static/index.html")))
    } else {
        router
    }
}

/// Static on purpose: the real app says "ok" with its database down.
async fn health() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}
