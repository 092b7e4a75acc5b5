//! Session tokens: HS256, seven days. The secret is read when it is first needed, not at start, as in the real app.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

const SECONDS: i64 = 7 * 24 * 3600;
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: Uuid,
    pub(crate) username: String,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
}

/// A token for an account.
///
/// Panics when `JWT_SECRET` is unset: so does the real app, after it has stored the account.
pub(crate) fn issue(sub: Uuid, username: &str) -> String {
    let secret = std::env::var("JWT_SECRET").unwrap_or_else(|_| panic!("JWT_SECRET must be set"));
    let iat = Utc::now().timestamp();
    sign(&secret, &Claims { sub, username: username.to_owned(), exp: iat + SECONDS, iat })
}

/// The account that a token names, if the token holds.
pub(crate) fn verify(token: &str) -> Option<Claims> {
    let secret = std::env::var("JWT_SECRET").unwrap_or_else(|_| panic!("JWT_SECRET must be set"));
    check(&secret, token, Utc::now().timestamp())
}

fn sign(secret: &str, claims: &Claims) -> String {
    let claims = serde_json::to_vec(claims).unwrap_or_default();
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, &body).finalize().into_bytes());
    format!("{body}.{signature}")
}

fn check(secret: &str, token: &str, now: i64) -> Option<Claims> {
    let (body, signature) = token.rsplit_once('.')?;
    mac(secret, body).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Claims =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body.split_once('.')?.1).ok()?).ok()?;
    (claims.exp > now).then_some(claims)
}

fn mac(secret: &str, body: &str) -> Hmac<Sha256> {
    // HMAC takes a key of any length, the empty one too: that is the wart.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { unreachable!("any key fits") };
    mac.update(body.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_secret_and_its_time() {
        let claims = Claims { sub: Uuid::new_v4(), username: "admin".into(), exp: 100, iat: 0 };
        let token = sign("secret", &claims);
        assert_eq!(check("secret", &token, 99), Some(claims));
        assert_eq!(check("secret", &token, 100), None);
        assert_eq!(check("other", &token, 99), None);
        assert_eq!(check("secret", "junk", 99), None);
    }
}
