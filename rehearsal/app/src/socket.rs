//! The WebSocket: the first text frame is the token, everything after it is events.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::channels;
use crate::state::{Shared, User};

const PING: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Hello {
    token: String,
}

#[derive(Deserialize)]
struct Frame {
    message_type: String,
    channel_id: Option<Uuid>,
    content: Option<String>,
}

pub(crate) async fn upgrade(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| talk(shared, socket))
}

async fn talk(shared: Shared, mut socket: WebSocket) {
    let Some(user) = greet(&shared, &mut socket).await else {
        let refusal = json!({"type": "error", "data": {"code": "unauthorized", "message": "Invalid token"}});
        // The real app closes abruptly after it; so does dropping the socket.
        let _ = socket.send(Message::text(refusal.to_string())).await;
        return;
    };
    let mut events = shared.events.subscribe();
    let mut ping = tokio::time::interval(PING);
    loop {
        let sent = tokio::select! {
            Ok(event) = events.recv() => socket.send(Message::text(event)).await,
            _ = ping.tick() => socket.send(Message::Ping(Vec::new().into())).await,
            frame = socket.recv() => match frame {
                Some(Ok(Message::Text(text))) => {
                    act(&shared, &user, text.as_str()).await;
                    Ok(())
                }
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => return,
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn greet(shared: &Shared, socket: &mut WebSocket) -> Option<User> {
    let Some(Ok(Message::Text(text))) = socket.recv().await else {
        return None;
    };
    let hello: Hello = serde_json::from_str(text.as_str()).ok()?;
    User::of_token(&shared.pool, &hello.token).await.ok()
}

async fn act(shared: &Shared, user: &User, text: &str) {
    let Ok(frame) = serde_json::from_str::<Frame>(text) else {
        return;
    };
    if let ("message", Some(channel), Some(content)) =
        (frame.message_type.as_str(), frame.channel_id, &frame.content)
    {
        // A message that was refused is not answered on the socket.
        let _ = channels::send(shared, user, channel, content).await;
    }
}
