//! The accounts that a command looks at.

use anyhow::Result;
use provider_profiles::Entry;

use super::generate::catalog;
use crate::account::Account;

/// The account at `provider`, or those of all providers whose token is set; `told` hears why others are not looked at.
pub(super) fn open(provider: Option<&str>, told: impl Fn(String)) -> Result<Vec<Account>> {
    let catalog = catalog(None)?;
    let chosen: Vec<&Entry> = match provider {
        Some(id) => vec![catalog.find(id)?],
        None => catalog.iter().collect(),
    };
    let mut accounts = Vec::new();
    for entry in chosen {
        let id = &entry.profile.id;
        match Account::open(&entry.profile) {
            Ok(Some(account)) => accounts.push(account),
            Ok(None) => told(format!("{id}: not looked at, its API is not described")),
            Err(error) if provider.is_some() => return Err(error),
            Err(error) => told(format!("{id}: not looked at, {error}")),
        }
    }
    Ok(accounts)
}
