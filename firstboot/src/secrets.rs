//! Secrets from the kernel's random numbers: made once, kept for ever.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::files;
use crate::inputs::Inputs;
use crate::system::System;

/// Letters and digits that nobody confuses on a screen: no 0/O, no 1/l/I.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Variables of the stack that hold 32 random bytes each.
const KEYS: [&str; 3] = ["POSTGRES_PASSWORD", "JWT_SECRET", "HMAC_SECRET"];

/// The owner's account, from its making until it is printed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password: String,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner {{ username: {:?}, password: *** }}", self.username)
    }
}

/// Fills in what the stack's environment lacks. What is there stays: a database knows its first password only.
pub(crate) fn complete(environment: &mut Environment) -> Result<()> {
    for name in KEYS {
        if environment.get(name).is_none_or(str::is_empty) {
            environment.set(name, &hex(&random::<32>()?));
        }
    }
    Ok(())
}

/// The owner's account: the one of an earlier run that was cut off, or a new one.
pub(crate) fn owner(system: &System, inputs: &Inputs) -> Result<Owner> {
    let path = system.owner();
    if let Some(owner) = files::read(&path)?.and_then(|text| serde_json::from_str(&text).ok()) {
        return Ok(owner);
    }
    let password = match &inputs.password {
        Some(chosen) => chosen.0.clone(),
        None => password()?,
    };
    let owner = Owner { username: inputs.username.clone(), email: inputs.email(), password };
    files::write(&path, 0o600, &serde_json::to_string(&owner)?)?;
    Ok(owner)
}

/// 16 letters in groups of four: 80 bits.
fn password() -> Result<String> {
    let letters: Vec<char> =
        random::<16>()?.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    Ok(letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// Bytes from the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the kernel gives no random numbers: {error}"))?;
    Ok(bytes)
}

/// Bytes as small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_their_form_and_differ() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 19);
        assert!(
            one.split('-').all(|group| group.len() == 4 && group.bytes().all(|b| ALPHABET.contains(&b))),
            "{one}"
        );
    }

    #[test]
    fn what_is_there_is_kept_and_what_is_empty_is_made() {
        let mut environment = Environment::parse("JWT_SECRET=kept\nHMAC_SECRET=\nMINE=x\n");
        complete(&mut environment).unwrap();
        assert_eq!(environment.get("JWT_SECRET"), Some("kept"));
        assert_eq!(environment.get("MINE"), Some("x"));
        for name in ["HMAC_SECRET", "POSTGRES_PASSWORD"] {
            assert_eq!(environment.get(name).map(str::len), Some(64), "{name}");
        }
    }
}
