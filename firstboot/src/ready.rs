//! `echora-firstboot ready`: the backend's health check, run inside its container.

use anyhow::{Context, Result};

use crate::owner::Backend;

/// Whether the backend at `BIND_ADDR` answers and reaches its database.
pub fn ready() -> Result<()> {
    let address = std::env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    Backend::new(&format!("http://{address}")).is_ready().context("the backend is not ready")
}
