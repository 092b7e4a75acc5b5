//! The file with the login, which is the operator's to keep.

use anyhow::Result;

use crate::files;
use crate::login::{self, LoginBlock};
use crate::system::System;

/// Lets the login name the place that the server is at now. What the operator has changed is left alone.
pub(crate) fn readdress(system: &System, url: &str) -> Result<()> {
    let path = system.credentials();
    let text = files::read(&path)?.unwrap_or_default();
    match login::find(&text) {
        Ok(block) if block.render() == text && block.url != url => {
            files::write(&path, 0o600, &LoginBlock { url: url.to_owned(), ..block }.render())
        }
        _ => Ok(()),
    }
}
