//! The environment, with each variable failing as in the real app.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::{Host, Url};

/// What the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) database_url: String,
    pub(crate) bind: SocketAddr,
    /// Where uploads go; none: uploads are off.
    pub(crate) storage: Option<PathBuf>,
}

impl Config {
    pub(crate) fn from_environment() -> Result<Self, String> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let database_url = variable("DATABASE_URL").ok_or("DATABASE_URL must be set")?;
        let bind = variable("BIND_ADDR").unwrap_or_else(|| "127.0.0.1:3000".into());
        let bind = bind.parse().map_err(|e| format!("Invalid BIND_ADDR {bind:?}: {e}"))?;
        check_passkeys(variable("WEBAUTHN_RP_ID"), variable("WEBAUTHN_RP_ORIGIN"))?;
        let storage = match variable("STORAGE_BACKEND").as_deref() {
            None => None,
            Some("local") => Some(storage_folder(variable("STORAGE_PATH"))?),
            Some("s3") => return Err("S3 storage is not part of the stand-in".into()),
            Some(other) => return Err(format!("Unknown STORAGE_BACKEND {other:?}")),
        };
        Ok(Self { database_url, bind, storage })
    }
}

fn storage_folder(path: Option<String>) -> Result<PathBuf, String> {
    let path = PathBuf::from(path.unwrap_or_else(|| "./uploads".into()));
    let attachments = path.join("attachments");
    std::fs::create_dir_all(&attachments)
        .map_err(|e| format!("Failed to make {}: {e}", attachments.display()))?;
    Ok(path)
}

/// The relying party's id must be the origin's domain or a parent of it; an address has no domain.
fn check_passkeys(id: Option<String>, origin: Option<String>) -> Result<(), String> {
    let id = id.unwrap_or_else(|| "localhost".into());
    let origin = origin.unwrap_or_else(|| "http://localhost:1420".into());
    let url = Url::parse(&origin).map_err(|e| format!("Invalid WEBAUTHN_RP_ORIGIN {origin:?}: {e}"))?;
    match url.host() {
        Some(Host::Domain(domain)) if domain == id || domain.ends_with(&format!(".{id}")) => Ok(()),
        _ => Err(format!("WEBAUTHN_RP_ID {id:?} does not fit WEBAUTHN_RP_ORIGIN {origin:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkey_settings_must_fit_each_other() {
        let check = |id: &str, origin: &str| check_passkeys(Some(id.into()), Some(origin.into())).is_ok();
        assert!(check("example.org", "https://chat.example.org"));
        assert!(check("chat.example.org", "https://chat.example.org"));
        assert!(!check("ample.org", "https://chat.example.org"));
        assert!(!check("203.0.113.7", "https://203.0.113.7"));
        assert!(!check("", ""));
        assert!(check_passkeys(Some("chat.example.org".into()), None).is_err());
        assert!(check_passkeys(None, None).is_ok());
    }

    #[test]
    fn a_bind_address_is_host_and_port() {
        let with = |bind: &'static str| {
            Config::read(move |name| match name {
                "DATABASE_URL" => Some("postgresql://x".into()),
                "BIND_ADDR" => Some(bind.into()),
                _ => None,
            })
        };
        assert!(with("127.0.0.1:3000").is_ok());
        assert!(with("3000").is_err());
        assert!(with("").is_err());
    }
}
