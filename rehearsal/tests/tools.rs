//! The ways in which a program is obtained, and which of them is taken when another fails.

use std::fs;
use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use echora_rehearsal::cache::{Cache, hex_sha256};
use echora_rehearsal::need::Missing;
use echora_rehearsal::tools::{Tool, installed, obtain};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// How often the server was asked, and what it answers.
type Asked = (Arc<AtomicUsize>, (StatusCode, Vec<u8>));

/// A program cannot be started while another test's child still holds it open for writing.
static ALONE: Mutex<()> = Mutex::const_new(());

const PROGRAM: &str = "#!/bin/sh\necho \"Demo v1.2.3 of $0\"\n";

/// A checkout with one pinned program, and a cache of its own.
struct Checkout {
    root: TempDir,
    cache: Cache,
}

impl Checkout {
    /// `pin` is what differs from a program that is built from its module.
    fn new(name: &str, pin: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let value = |key: &str, usual: &str| {
            let given = pin.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
            given.unwrap_or_else(|| usual.to_owned())
        };
        let digest = value("sha256", "");
        let digests = if digest.is_empty() {
            String::new()
        } else {
            format!("amd64 = '{digest}'\narm64 = '{digest}'\n")
        };
        let text = format!(
            "[{name}]\nversion = '1.2.3'\nminimum = '{}'\nversion_arguments = ['--version']\nurl = '{}'\narchive = '{}'\n\
             module = 'module'\npackage = '.'\nldflags = '-s'\non_path = {}\n[{name}.sha256]\n{digests}",
            value("minimum", "1.0.0"),
            value("url", "http://127.0.0.1:9/{version}/{arch}"),
            value("archive", "tar.gz"),
            value("on_path", "false"),
        );
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("tools/tools.toml", &text);
        write("module/go.mod", "module demo\n\ngo 1.21\n");
        write("module/main.go", "package main\n\nfunc main() { println(\"on stderr\"); print_version() }\n");
        write(
            "module/version.go",
            "package main\n\nimport \"fmt\"\n\nfunc print_version() { fmt.Println(\"v1.2.3\") }\n",
        );
        let cache = Cache::at(root.path().join("cache"));
        Self { root, cache }
    }

    async fn obtain(&self, name: &str) -> anyhow::Result<Tool> {
        obtain(&self.cache, self.root.path(), name).await
    }

    /// Whether the cache holds a program.
    fn holds_anything(&self) -> bool {
        let entries = fs::read_dir(self.root.path().join("cache/tool")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().is_dir()).count() > 0
    }
}

/// A publisher on loopback.
struct Publisher {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    async fn serve(reply: (StatusCode, Vec<u8>)) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = async |State((asked, reply)): State<Asked>| {
            asked.fetch_add(1, Ordering::SeqCst);
            reply
        };
        let app = Router::new().route("/1.2.3/{arch}", get(answer)).with_state((asked.clone(), reply));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/{{version}}/{{arch}}", self.address)
    }
}

fn tar_gz(name: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in [("LICENSE", "free"), (name, PROGRAM)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn zip(name: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(PROGRAM.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

fn has_go() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join("go").is_file())
}

/// Where nothing else is left a program is built; without Go that is a missing prerequisite.
fn assert_built(tool: anyhow::Result<Tool>, why: &str) {
    if !has_go() {
        let missing = tool.unwrap_err().downcast::<Missing>().unwrap();
        assert!(missing.what.starts_with("Go is not installed"), "{missing}");
        return;
    }
    let tool = tool.unwrap();
    assert_eq!((tool.version.as_str(), tool.reused), ("1.2.3", false));
    assert!(tool.how.starts_with("built from its Go module: ") && tool.how.contains(why), "{}", tool.how);
}

#[tokio::test]
async fn a_release_with_the_pinned_digest_is_fetched_once() {
    let _alone = ALONE.lock().await;
    for (archive, bytes) in [("tar.gz", tar_gz("demo")), ("zip", zip("demo"))] {
        let digest = hex_sha256(&bytes);
        let publisher = Publisher::serve((StatusCode::OK, bytes)).await;
        let pin = [("archive", archive), ("url", &publisher.url()), ("sha256", &digest)];
        let checkout = Checkout::new("demo", &pin);
        let tool = checkout.obtain("demo").await.unwrap();
        assert_eq!(
            (tool.version.as_str(), tool.how.as_str()),
            ("1.2.3", "the publisher's release"),
            "{archive}"
        );
        assert_eq!(fs::read_to_string(&tool.path).unwrap(), PROGRAM);
        let again = checkout.obtain("demo").await.unwrap();
        assert!(!tool.reused && again.reused && again.path == tool.path && again.how == tool.how);
        assert_eq!(publisher.asked.load(Ordering::SeqCst), 1, "{archive}");
    }
}

#[tokio::test]
async fn a_release_with_another_digest_ends_everything() {
    let _alone = ALONE.lock().await;
    let bytes = tar_gz("demo");
    let found = hex_sha256(&bytes);
    let publisher = Publisher::serve((StatusCode::OK, bytes)).await;
    let pinned = hex_sha256(b"another");
    let checkout = Checkout::new("demo", &[("url", &publisher.url()), ("sha256", &pinned)]);
    let error = format!("{:#}", checkout.obtain("demo").await.unwrap_err());
    assert!(error.contains(&found) && error.contains(&pinned), "{error}");
    assert!(!checkout.holds_anything(), "it is kept, or the program was built instead");
}

#[tokio::test]
async fn without_a_release_it_is_built_and_the_reason_told() {
    let _alone = ALONE.lock().await;
    let digest = hex_sha256(b"whatever");
    assert_built(Checkout::new("demo", &[]).obtain("demo").await, "no digest");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/{{version}}");
    let checkout = Checkout::new("demo", &[("url", &url), ("sha256", &digest)]);
    assert_built(checkout.obtain("demo").await, "cannot be reached");

    let publisher = Publisher::serve((StatusCode::NOT_FOUND, Vec::new())).await;
    let checkout = Checkout::new("demo", &[("url", &publisher.url()), ("sha256", &digest)]);
    assert_built(checkout.obtain("demo").await, "does not have it");
}

#[tokio::test]
async fn a_program_of_another_version_is_not_kept() {
    let _alone = ALONE.lock().await;
    let bytes = tar_gz("demo");
    let digest = hex_sha256(&bytes);
    let publisher = Publisher::serve((StatusCode::OK, bytes)).await;
    let checkout = Checkout::new("demo", &[("url", &publisher.url()), ("sha256", &digest)]);
    let file = checkout.root.path().join("tools/tools.toml");
    let text = fs::read_to_string(&file).unwrap().replace("version = '1.2.3'", "version = '1.2.4'");
    fs::write(&file, text.replace("{version}", "1.2.3")).unwrap();
    let error = format!("{:#}", checkout.obtain("demo").await.unwrap_err());
    assert!(error.contains("calls itself 1.2.3 instead of 1.2.4"), "{error}");
    assert!(!checkout.holds_anything());
}

#[tokio::test]
async fn the_one_on_path_is_taken_when_it_is_new_enough() {
    let _alone = ALONE.lock().await;
    let bytes = tar_gz("git");
    let digest = hex_sha256(&bytes);
    let publisher = Publisher::serve((StatusCode::OK, bytes)).await;
    let git = |minimum: &str, on_path: &str| {
        let url = publisher.url();
        Checkout::new(
            "git",
            &[("url", &url), ("sha256", &digest), ("minimum", minimum), ("on_path", on_path)],
        )
    };
    let tool = git("1.0.0", "true").obtain("git").await.unwrap();
    assert!(tool.how == "on PATH" && tool.reused && tool.path.ends_with("git"), "{tool:?}");
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 0);

    for (minimum, on_path) in [("999.0.0", "true"), ("1.0.0", "false")] {
        let tool = git(minimum, on_path).obtain("git").await.unwrap();
        assert_eq!(tool.how, "the publisher's release", "minimum {minimum}, on_path {on_path}");
    }
}

#[tokio::test]
async fn a_namesake_on_path_without_a_version_is_passed_over() {
    let _alone = ALONE.lock().await;
    let bytes = tar_gz("false");
    let digest = hex_sha256(&bytes);
    let publisher = Publisher::serve((StatusCode::OK, bytes)).await;
    let checkout =
        Checkout::new("false", &[("url", &publisher.url()), ("sha256", &digest), ("on_path", "true")]);
    let fails = fs::read_to_string(checkout.root.path().join("tools/tools.toml")).unwrap();
    fs::write(checkout.root.path().join("tools/tools.toml"), fails.replace("'--version'", "'version'"))
        .unwrap();
    assert_eq!(checkout.obtain("false").await.unwrap().how, "the publisher's release");
}

#[tokio::test]
async fn for_an_account_only_path_counts_and_both_versions_are_told() {
    let _alone = ALONE.lock().await;
    let missing = async |name: &str, minimum: &str| -> Missing {
        let url = "https://example.com/demo/{version}/demo_{arch}.zip";
        let checkout = Checkout::new(name, &[("minimum", minimum), ("url", url)]);
        installed(checkout.root.path(), name).await.unwrap_err().downcast().unwrap()
    };
    let git = Checkout::new("git", &[]);
    let here = installed(git.root.path(), "git").await.unwrap();

    let old = missing("git", "999.0.0").await;
    assert!(old.what.contains(&here.version) && old.what.contains("999.0.0"), "{old}");
    assert!(old.hint.contains("1.2.3") && old.hint.ends_with("https://example.com/demo"), "{}", old.hint);
    assert_eq!(missing("no-such-demo", "1.0.0").await.what, "no-such-demo is not on PATH");
    let mute = missing("false", "1.0.0").await;
    assert!(mute.what.contains("does not tell its version"), "{mute}");
}

#[tokio::test]
async fn a_damaged_pin_names_its_file() {
    let _alone = ALONE.lock().await;
    let checkout = Checkout::new("demo", &[]);
    let error = |tool: anyhow::Result<Tool>| format!("{:#}", tool.unwrap_err());
    assert!(error(checkout.obtain("other").await).contains("tools.toml has no table other"));
    let file = checkout.root.path().join("tools/tools.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("minimum", "minimal")).unwrap();
    let told = error(checkout.obtain("demo").await);
    assert!(told.contains("tools.toml is damaged") && told.contains("minimal"), "{told}");
    assert!(!Path::new(&checkout.root.path().join("cache/tool")).exists());
}
