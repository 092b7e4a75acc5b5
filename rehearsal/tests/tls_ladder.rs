//! The ladder of certificates, climbed by the real Caddy with the shipped configuration, set up by the guest binary, at
//! Let's Encrypt's test CA. Whatever that CA does, HTTPS answers. Takes root.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use echora_rehearsal::cache::Cache;
use echora_rehearsal::network::{MACHINE_V4, MACHINE_V6};
use echora_rehearsal::tools;
use ladder::authority::{Options, point};
use ladder::door::Mood;
use ladder::server::Server;
use ladder::visitor::{Crowd, NAME, Rung, urls, visit};

mod ladder {
    pub(crate) mod authority;
    pub(crate) mod door;
    pub(crate) mod neighbours;
    pub(crate) mod server;
    pub(crate) mod visitor;

    pub(crate) use super::{checkout, eventually, tool};
}

/// Without an address Caddy sometimes mistakes its own name for one when it makes an account for several sites at once,
/// and tries again after a minute, which no test should wait for (certmagic 0.25.6, `mostRecentAccountEmail`).
const CONTACT: &str = "email = 'admin@example.net'\n";
const PATIENCE: Duration = Duration::from_secs(60);
/// Caddy's own pauses after a failure: a minute, then two.
const PAUSES: Duration = Duration::from_secs(240);

/// Waits until there is an answer.
async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, ask).await
}

async fn within<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn checkout(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

async fn tool(name: &str) -> PathBuf {
    let cache = Cache::user().unwrap();
    tools::obtain(&cache, &checkout(""), name).await.unwrap().path
}

/// Waits until visitors of `url` are on the upper rung, and gives the certificate.
async fn certified(server: &Server, url: &str) -> Vec<u8> {
    certified_within(PATIENCE, server, url).await
}

async fn certified_within(patience: Duration, server: &Server, url: &str) -> Vec<u8> {
    let look = async || match visit(server, url).await.unwrap() {
        (Rung::Public, certificate) => Some(certificate),
        (Rung::Own, _) => None,
    };
    within(patience, &format!("a public certificate for {url}"), look).await
}

async fn assert_own(server: &Server, url: &str) {
    assert_eq!(visit(server, url).await.unwrap().0, Rung::Own, "{url}");
}

/// A server whose buyer wants the domain, which leads to it.
async fn with_domain(options: Options) -> Server {
    let server = Server::new(options).await;
    server.put("/etc/echora/config.toml", &format!("domain = '{NAME}'\n{CONTACT}"));
    point(&server.network, NAME, &[&MACHINE_V4.to_string()], &[&MACHINE_V6.to_string()]).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn domain_and_addresses_get_certificates_of_their_own_and_keep_them() {
    let mut server = with_domain(Options::default()).await;
    let told = server.boot().await;
    assert!(!told.contains("WARNING"), "{told}");
    let crowd = Crowd::gather(&server);
    let mut certificates = Vec::new();
    for url in urls() {
        certificates.push(certified(&server, &url).await);
    }
    crowd.was_served().await;
    assert_eq!(server.authority.door.orders(), [201; 3], "one order for each");

    server.restart_caddy().await;
    for (url, certificate) in urls().iter().zip(&certificates) {
        let now = eventually("it answers again", async || visit(&server, url).await.ok()).await;
        assert_eq!((now.0, &now.1), (Rung::Public, certificate), "{url}");
    }
    assert_eq!(server.authority.door.orders().len(), 3, "nothing is issued twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_refused_leaves_the_rung_below() {
    let server = with_domain(Options { blocked: &[NAME], ..Options::default() }).await;
    server.boot().await;
    let crowd = Crowd::gather(&server);
    let [domain, v4, v6] = urls();
    certified(&server, &v4).await;
    certified(&server, &v6).await;
    let refused = async || server.authority.door.orders().into_iter().find(|status| *status != 201);
    assert!(eventually("the authority refuses the domain", refused).await >= 400);
    assert_own(&server, &domain).await;
    crowd.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_not_run_against() {
    let server = with_domain(Options { mood: Mood::RateLimited, ..Options::default() }).await;
    server.boot().await;
    let crowd = Crowd::gather(&server);
    let limited = async || (server.authority.door.orders().len() >= 3).then_some(());
    eventually("each name has been asked for", limited).await;
    for url in urls() {
        assert_own(&server, &url).await;
    }
    assert_eq!(server.authority.door.orders(), [429; 3], "once for each, then Caddy waits");
    server.authority.door.turn(Mood::Open);
    server.nudge_caddy().await;
    for url in urls() {
        certified(&server, &url).await;
    }
    crowd.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_at_first_boot_keeps_nobody_out() {
    let server = with_domain(Options { mood: Mood::Down, ..Options::default() }).await;
    let told = server.boot().await;
    assert!(told.contains("ready after"), "{told}");
    let crowd = Crowd::gather(&server);
    let in_vain = async || {
        let log = server.log();
        let failed = |url: &String| {
            let name = url.trim_start_matches("https://").trim_matches(['[', ']', '/']);
            log.contains(&format!(r#""could not get certificate from issuer","identifier":"{name}""#))
        };
        urls().iter().all(failed).then_some(())
    };
    eventually("Caddy asks for each name in vain", in_vain).await;
    for url in urls() {
        assert_own(&server, &url).await;
    }
    server.authority.door.turn(Mood::Open);
    // Nobody tells Caddy: it comes back by itself.
    for url in urls() {
        certified_within(PAUSES, &server, &url).await;
    }
    crowd.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_lived_certificate_is_renewed_before_it_ends() {
    let server = Server::new(Options { validity: Duration::from_secs(12), ..Options::default() }).await;
    server.put("/etc/echora/config.toml", CONTACT);
    server.boot().await;
    let crowd = Crowd::gather(&server);
    let [_, v4, _] = urls();
    let first = certified(&server, &v4).await;
    let renewed = async || match visit(&server, &v4).await.unwrap() {
        (Rung::Public, now) if now != first => Some(()),
        (Rung::Public, _) => None,
        (Rung::Own, _) => panic!("the certificate ended before there was another: {}", server.log()),
    };
    eventually("another certificate", renewed).await;
    crowd.was_served().await;
}

/// As when a reserved address is given to the machine: the next boot finds it.
#[tokio::test(flavor = "multi_thread")]
async fn another_address_gets_a_certificate_of_its_own_at_the_next_boot() {
    const ELSEWHERE: &str = "203.0.113.8";
    let mut server = Server::new(Options::default()).await;
    server.put("/etc/echora/config.toml", CONTACT);
    server.boot().await;
    let [_, v4, v6] = urls();
    certified(&server, &v4).await;
    let unchanged = certified(&server, &v6).await;

    server.readdress(ELSEWHERE).await;
    let told = server.boot().await;
    let url = format!("https://{ELSEWHERE}");
    assert!(told.contains(&format!("this server is at {url}; the login stays as it is")), "{told}");
    certified(&server, &format!("{url}/")).await;
    assert_eq!(certified(&server, &v6).await, unchanged);
    assert_eq!(server.authority.door.orders(), [201; 3], "one for each address that it ever had");
    assert!(server.read("/opt/echora/.env").contains(&format!("ANNOUNCED_IP={ELSEWHERE}\n")));
    assert!(server.read("/root/echora-credentials").contains(&url));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_is_pointed_here_later_is_taken_then() {
    let server = Server::new(Options::default()).await;
    server.put("/etc/echora/config.toml", &format!("domain = '{NAME}'\n{CONTACT}"));
    let told = server.boot().await;
    assert!(told.contains("has no A and no AAAA record"), "{told}");
    let crowd = Crowd::gather(&server);
    let [domain, v4, v6] = urls();
    certified(&server, &v4).await;
    certified(&server, &v6).await;

    // The gateway is another machine, which serves nothing.
    let wrong: [(&[&str], &[&str], &str); 3] = [
        (&[], &[], "has no A and no AAAA record"),
        (&["203.0.113.1"], &[], "points to 203.0.113.1, which is not this server"),
        (&["203.0.113.7"], &["2001:db8::1"], "points to 2001:db8::1, which is not this server"),
    ];
    for (a, aaaa, words) in wrong {
        point(&server.network, NAME, a, aaaa).await;
        let error = format!("{:#}", server.guest(&["climb"]).await.unwrap_err());
        assert!(error.contains(words), "{error}");
    }
    assert_own(&server, &domain).await;
    assert_eq!(
        server.authority.door.orders(),
        [201; 2],
        "nothing was ordered for a domain that leads elsewhere"
    );

    point(&server.network, NAME, &["203.0.113.7"], &[]).await;
    server.guest(&["climb"]).await.unwrap();
    certified(&server, &domain).await;
    assert_eq!(server.authority.door.orders(), [201; 3]);
    crowd.was_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_changes_the_domain_of_a_server_that_runs() {
    let server = Server::new(Options::default()).await;
    server.put("/etc/echora/config.toml", CONTACT);
    server.boot().await;
    let crowd = Crowd::gather(&server);
    point(&server.network, NAME, &["203.0.113.7"], &[]).await;
    // What the operator broke elsewhere is found before anything is switched.
    let before = server.read("/var/lib/echora/caddy/echora.sites");
    server.put("/var/lib/echora/caddy/mine.sites", "https://mine.example.org {\n\tno_such_directive\n}\n");
    let error = format!("{:#}", server.guest(&["domain", NAME]).await.unwrap_err());
    assert!(error.contains("no_such_directive") && error.contains("nothing was changed"), "{error}");
    assert_eq!(server.read("/var/lib/echora/caddy/echora.sites"), before);

    server.put("/var/lib/echora/caddy/mine.sites", "");
    let told = server.guest(&["domain", NAME]).await.unwrap();
    assert!(told.contains("its certificate is there"), "{told}");
    let [domain, ..] = urls();
    assert_eq!(visit(&server, &domain).await.unwrap().0, Rung::Public);
    assert!(server.read("/root/echora-credentials").contains("https://chat.example.org\n"));
    crowd.was_served().await;
}
