//! A stand-in for Echora's backend: the part of its HTTP contract that images rely on, against a real Postgres.
//!
//! It keeps the real app's warts on purpose. `contract/app_contract.py` is the judge.

mod accounts;
mod admin;
mod attachments;
mod channels;
mod config;
mod db;
mod error;
mod invites;
mod server;
mod session;
mod socket;
mod state;
mod validation;

fn main() {
    // The real app panics on whatever keeps it from starting: exit status 101, the reason on stderr.
    let config = config::Config::from_environment().unwrap_or_else(|problem| panic!("{problem}"));
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|problem| panic!("no runtime: {problem}"));
    runtime.block_on(async {
        let pool = db::open(&config.database_url).await.unwrap_or_else(|problem| panic!("{problem}"));
        server::serve(config, pool).await.unwrap_or_else(|problem| panic!("{problem:#}"));
    });
}
