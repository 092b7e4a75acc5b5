//! Registering, signing in, passwords.

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rand_core::OsRng;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use crate::error::{Answer, Failure};
use crate::invites;
use crate::session;
use crate::state::{Caller, Shared, User};
use crate::validation;

#[derive(Deserialize)]
pub(crate) struct Registration {
    username: String,
    email: String,
    password: String,
    invite_code: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    username: String,
    password: String,
}

#[derive(Deserialize)]
pub(crate) struct NewPassword {
    current_password: String,
    new_password: String,
}

#[derive(Serialize)]
pub(crate) struct Session {
    token: String,
    user: User,
}

pub(crate) async fn register(
    State(shared): State<Shared>,
    Json(form): Json<Registration>,
) -> Answer<Json<Session>> {
    let username = validation::username(&form.username).map_err(Failure::bad)?;
    let email = validation::email(&form.email).map_err(Failure::bad)?;
    validation::password(&form.password).map_err(Failure::bad)?;
    let pool = &shared.pool;
    let mode: String = setting(pool, "registration_mode").await?;
    match (&form.invite_code, mode.as_str()) {
        (Some(code), _) => invites::use_up(pool, code).await?,
        (None, "invite_only") => return Err(Failure::forbidden("Registration requires an invite code")),
        (None, _) => {}
    }
    // Counted, then inserted, without a lock: two first registrations at once make two owners, as in the real app.
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(pool).await?;
    let role = if users == 0 { "owner" } else { "member" };
    let user = User { id: Uuid::new_v4(), username, email, role: role.into() };
    sqlx::query("INSERT INTO users (id, username, email, password_hash, role) VALUES ($1, $2, $3, $4, $5)")
        .bind(user.id)
        .bind(&user.username)
        .bind(&user.email)
        .bind(hash(&form.password)?)
        .bind(&user.role)
        .execute(pool)
        .await
        .map_err(taken)?;
    Ok(Json(Session { token: session::issue(user.id, &user.username), user }))
}

pub(crate) async fn login(State(shared): State<Shared>, Json(form): Json<SignIn>) -> Answer<Json<Session>> {
    let refused = || Failure::unauthorized("Invalid credentials");
    let user: Option<User> =
        sqlx::query_as("SELECT id, username, email, role FROM users WHERE lower(username) = lower($1)")
            .bind(form.username.trim())
            .fetch_optional(&shared.pool)
            .await?;
    let user = user.ok_or_else(refused)?;
    if !is_password_of(&shared.pool, user.id, form.password).await? {
        return Err(refused());
    }
    Ok(Json(Session { token: session::issue(user.id, &user.username), user }))
}

pub(crate) async fn me(Caller(user): Caller) -> Json<User> {
    Json(user)
}

pub(crate) async fn password(
    State(shared): State<Shared>,
    Caller(user): Caller,
    Json(form): Json<NewPassword>,
) -> Answer<StatusCode> {
    validation::password(&form.new_password).map_err(Failure::bad)?;
    if !is_password_of(&shared.pool, user.id, form.current_password).await? {
        return Err(Failure::unauthorized("Current password is incorrect"));
    }
    sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
        .bind(user.id)
        .bind(hash(&form.new_password)?)
        .execute(&shared.pool)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A server setting; every known one has a row.
pub(crate) async fn setting(pool: &PgPool, key: &str) -> Answer<String> {
    Ok(sqlx::query_scalar("SELECT value FROM server_settings WHERE key = $1")
        .bind(key)
        .fetch_one(pool)
        .await?)
}

async fn is_password_of(pool: &PgPool, id: Uuid, password: String) -> Answer<bool> {
    let hash: String =
        sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1").bind(id).fetch_one(pool).await?;
    // On the thread that answers requests, as in the real app: all others wait, and no more passwords are hashed at once,
    // 19 MiB each, than there are processors.
    Ok(PasswordHash::new(&hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()))
}

fn hash(password: &str) -> Answer<String> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| Failure::broken("Password hashing failed"))
}

fn taken(error: sqlx::Error) -> Failure {
    match error.as_database_error().and_then(|e| e.constraint()) {
        Some("users_username") => Failure::conflict("Username already taken"),
        Some("users_email") => Failure::conflict("Email already in use"),
        _ => error.into(),
    }
}
