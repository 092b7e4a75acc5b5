//! One small request to one address, whatever its host's name resolves to.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Where certificate authorities begin: <https://letsencrypt.org/docs/challenge-types/#http-01-challenge>.
const PORT: u16 = 80;
const CONNECT: Duration = Duration::from_secs(5);
const REPLY: Duration = Duration::from_secs(5);
/// More than a page that says what is wrong.
const MOST: usize = 64 << 10;

/// Headers by which content delivery networks are known, each with the network's name.
const NETWORKS: [(&str, &str); 7] = [
    // https://developers.cloudflare.com/fundamentals/reference/http-headers/
    ("cf-ray:", "Cloudflare"),
    ("server: cloudflare", "Cloudflare"),
    // https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
    ("x-amz-cf-id:", "CloudFront"),
    // https://www.fastly.com/documentation/reference/http/http-headers/X-Served-By/
    ("x-served-by: cache-", "Fastly"),
    ("server: akamaighost", "Akamai"),
    ("server: bunnycdn", "bunny.net"),
    ("x-sucuri-id:", "Sucuri"),
];

/// What an address answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The token.
    Token,
    /// Something else: its status, and the content delivery network that it comes from.
    Other { status: String, network: Option<&'static str> },
    /// Nothing, and why.
    Nothing(String),
}

impl Fetched {
    /// For a thread that ended early.
    pub(super) fn broken() -> Self {
        Self::Nothing("the request broke off".into())
    }
}

/// Asks `address` for `path` of `domain`.
pub(super) fn fetch(domain: &str, address: IpAddr, path: &str, secret: &str) -> Fetched {
    match ask(domain, SocketAddr::new(address, PORT), path) {
        Ok(reply) => judge(&reply, secret),
        Err(error) => Fetched::Nothing(error.to_string()),
    }
}

fn ask(domain: &str, address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    let end = Instant::now() + REPLY;
    stream.set_write_timeout(Some(REPLY))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    let mut part = [0; 4096];
    while reply.len() < MOST {
        // One byte at a time would not make it wait for ever.
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => reply.extend_from_slice(&part[..length]),
            Err(e) if reply.is_empty() => return Err(e),
            Err(_) => break,
        }
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn judge(reply: &str, secret: &str) -> Fetched {
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((reply, ""));
    let Some(status) = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)) else {
        return Fetched::Nothing("it does not speak HTTP".into());
    };
    if status == "200" && body.contains(secret) {
        return Fetched::Token;
    }
    let head = head.to_ascii_lowercase();
    let network = NETWORKS.iter().find(|(sign, _)| head.lines().any(|line| line.starts_with(sign)));
    Fetched::Other { status: status.to_owned(), network: network.map(|(_, name)| *name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_the_token_something_else_or_nothing() {
        let reply = |status, headers, body| format!("HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}");
        assert_eq!(judge(&reply("200 OK", "A: b", "6\r\nsecret\r\n0"), "secret"), Fetched::Token);
        let other = |status: &str, network| Fetched::Other { status: status.into(), network };
        assert_eq!(judge(&reply("200 OK", "A: b", "hello"), "secret"), other("200", None));
        assert_eq!(judge(&reply("404 Not Found", "A: secret", "secret"), "secret"), other("404", None));
        let redirect = reply("301 Moved", "CF-RAY: 8a-FRA\r\nLocation: /", "");
        assert_eq!(judge(&redirect, "secret"), other("301", Some("Cloudflare")));
        assert!(matches!(judge("SSH-2.0-OpenSSH_10.0\r\n", "secret"), Fetched::Nothing(_)));
        assert!(matches!(judge("", "secret"), Fetched::Nothing(_)));
    }
}
