//! The database: connection, migrations, seed.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connects (a database that is not up is retried for some seconds), migrates and seeds.
pub(crate) async fn open(url: &str) -> Result<PgPool, String> {
    let options =
        PgPoolOptions::new().max_connections(20).min_connections(2).acquire_timeout(Duration::from_secs(5));
    let pool = options.connect(url).await.map_err(|e| format!("Failed to connect to the database: {e:?}"))?;
    MIGRATIONS.run(&pool).await.map_err(|e| format!("Failed to run database migrations: {e:?}"))?;
    seed(&pool).await.map_err(|e| format!("Failed to seed the database: {e:?}"))?;
    Ok(pool)
}

/// Default channels on an empty server; without an owner the oldest account becomes it.
async fn seed(pool: &PgPool) -> Result<(), sqlx::Error> {
    let channels: i64 = sqlx::query_scalar("SELECT count(*) FROM channels").fetch_one(pool).await?;
    if channels == 0 {
        for (name, kind) in
            [("general", "text"), ("random", "text"), ("General", "voice"), ("Lounge", "voice")]
        {
            sqlx::query("INSERT INTO channels (id, name, channel_type) VALUES ($1, $2, $3)")
                .bind(Uuid::new_v4())
                .bind(name)
                .bind(kind)
                .execute(pool)
                .await?;
        }
    }
    sqlx::query(
        "UPDATE users SET role = 'owner' WHERE NOT EXISTS (SELECT 1 FROM users WHERE role = 'owner') \
         AND id = (SELECT id FROM users ORDER BY created_at LIMIT 1)",
    )
    .execute(pool)
    .await
    .map(drop)
}
