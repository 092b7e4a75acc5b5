//! The package mirror as a machine sees it, in front of Debian's own. Takes root and a mirror that can be reached.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use echora_rehearsal::cache::{Cache, hex_sha256};
use echora_rehearsal::mirror::{Mirror, Traffic};
use echora_rehearsal::network::{GATEWAY_V4, Network};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOST: &str = "deb.debian.org";
const SUITE: &str = "/debian/dists/trixie";
/// A short index.
const INDEX: &str = "contrib/binary-amd64/Packages.gz";

struct Played {
    mirror: Mirror,
    network: Network,
    folder: tempfile::TempDir,
}

impl Played {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::create(&[HOST]).await.unwrap();
        let mirror = Mirror::serve(&network, &Cache::at(folder.path().to_owned())).await.unwrap();
        Self { mirror, network, folder }
    }

    async fn ask(&self, method: Method, host: &str, path: &str) -> (StatusCode, Vec<u8>) {
        let (url, host) = (format!("http://{GATEWAY_V4}{path}"), host.to_owned());
        let request = async move || {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let reply = client.request(method, url).header("Host", host).send().await?;
            Ok((reply.status(), reply.bytes().await?.to_vec()))
        };
        self.network.inside(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Vec<u8> {
        let (status, body) = self.ask(Method::GET, HOST, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        body
    }

    fn kept(&self, path: &str) -> bool {
        self.folder.path().join("packages").join(HOST).join(path.trim_start_matches('/')).exists()
    }

    /// Path and sha256 of the smallest package in the index; pools lose old versions, so none can be named here.
    async fn smallest_package(&self) -> (String, String) {
        let index = self.get(&format!("{SUITE}/{INDEX}")).await;
        let mut text = String::new();
        flate2::read::GzDecoder::new(index.as_slice()).read_to_string(&mut text).unwrap();
        let field = |package: &str, name: &str| {
            package
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
                .expect("a field of a package")
        };
        let package = text.split("\n\n").filter(|package| package.contains("\nFilename: "));
        let package = package.min_by_key(|package| field(package, "Size: ").parse::<u64>().unwrap()).unwrap();
        (format!("/debian/{}", field(package, "Filename: ")), field(package, "SHA256: "))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_fetched_once_and_comes_from_the_cache_then() {
    let played = Played::new().await;
    let (path, sha256) = played.smallest_package().await;
    let before = played.mirror.traffic();
    let (status, body) = played.ask(Method::HEAD, HOST, &path).await;
    assert_eq!(
        (status, body.len(), played.kept(&path)),
        (StatusCode::OK, 0, false),
        "HEAD has nothing to keep"
    );
    let first = played.get(&path).await;
    let size = first.len() as u64;
    assert_eq!(hex_sha256(&first), sha256, "{path}");
    assert_eq!(played.mirror.traffic(), Traffic { fetched: before.fetched + size, ..before });
    assert!(played.kept(&path));
    assert_eq!(hex_sha256(&played.get(&path).await), sha256);
    assert_eq!(played.mirror.traffic(), Traffic { kept: size, fetched: before.fetched + size });
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_asked_for_anew_unless_their_digest_names_them() {
    let played = Played::new().await;
    let release = format!("{SUITE}/InRelease");
    let text = String::from_utf8(played.get(&release).await).unwrap();
    assert!(text.contains("Codename: trixie") && !played.kept(&release));
    let listed = text.lines().filter(|line| line.ends_with(&format!(" {INDEX}")));
    let digest =
        listed.filter_map(|line| line.split_whitespace().next()).find(|digest| digest.len() == 64).unwrap();
    let by_hash = format!("{SUITE}/contrib/binary-amd64/by-hash/SHA256/{digest}");
    for _ in 0..2 {
        assert_eq!(hex_sha256(&played.get(&by_hash).await), digest);
    }
    assert!(played.kept(&by_hash));
    assert_eq!(
        played.mirror.traffic().kept,
        played.get(&by_hash).await.len() as u64,
        "the second came from the cache"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_mirrors_are_reached_and_only_read() {
    let played = Played::new().await;
    let release = format!("{SUITE}/InRelease");
    for host in ["example.org", "deb.debian.org.example.org", "203.0.113.1", "deb.debian.org:8080"] {
        assert_eq!(played.ask(Method::GET, host, &release).await.0, StatusCode::FORBIDDEN, "{host}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(
            played.ask(method.clone(), HOST, &release).await.0,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
    }
    assert_eq!(played.ask(Method::GET, HOST, "/debian/no-such.deb").await.0, StatusCode::NOT_FOUND);
    assert!(!played.kept("/debian/no-such.deb"));
    assert_eq!(played.mirror.traffic().kept, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_cache() {
    let played = Played::new().await;
    let secret = played.folder.path().join("secret.deb");
    std::fs::write(&secret, "secret").unwrap();
    // A path through a folder that is not there leads nowhere.
    std::fs::create_dir_all(played.folder.path().join("packages").join(HOST).join("debian")).unwrap();
    let above = secret.strip_prefix(Path::new("/")).unwrap().display().to_string();
    for path in ["/../../secret.deb".to_owned(), "/debian/../../../secret.deb".into(), format!("//{above}")] {
        let answer = raw(&played.network, &path).await;
        assert!(!answer.contains("secret"), "{path}: {answer}");
        assert!(!path.contains("..") || answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
}

/// A request as it is written: a client would tidy the path up.
async fn raw(network: &Network, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let gateway: SocketAddr = (GATEWAY_V4, 80).into();
    let mut stream = network.handle().connect(gateway).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
