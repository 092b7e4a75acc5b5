//! What a visitor's browser shows while a machine is set up, and after it.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use echora_rehearsal::process::run;
use support::cell::{BOOT, Rented};
use support::root;

/// A database that never comes up: the boot stays where visitors see the page.
const STUCK: &str = "services:\n  postgres:\n    entrypoint: [sleep, '600']\n";
const SIZE: (u32, u32) = (900, 560);

#[tokio::test]
async fn a_browser_shows_the_step_and_then_the_site() {
    let installed = std::process::Command::new("chromium").arg("--version").output();
    if installed.is_err() {
        println!("SKIPPED: no picture is taken, chromium is not installed");
        return;
    }
    let mut rented = Rented::make().await;
    rented.cell.put("opt/echora/compose.override.yaml", STUCK, 0o644).unwrap();
    rented.start().await;
    rented.cell.wait_for("echora: [5/9]", 0, BOOT).await.unwrap();
    let (text, _) = look(&rented, "starting").await;
    assert!(text.contains("Echora is starting") && text.contains("Setting up the database"), "{text}");
    assert!(text.contains("becomes the site by itself"), "{text}");
    drop(rented);

    let mut rented = Rented::make().await;
    rented.start().await;
    rented.login(0).await;
    let (text, _) = look(&rented, "site").await;
    assert!(text.contains("Sign in") && !text.contains("is starting"), "{text}");
}

/// The page as a browser has it, and a picture of it among what was built.
async fn look(rented: &Rented, name: &str) -> (String, PathBuf) {
    let folder = root().join("target/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let picture = folder.join(format!("{name}.png"));
    let _ = std::fs::remove_file(&picture);
    let text = browse(rented, &["--dump-dom".to_owned()]).await;
    browse(
        rented,
        &[format!("--screenshot={}", picture.display()), format!("--window-size={},{}", SIZE.0, SIZE.1)],
    )
    .await;
    let bytes = std::fs::read(&picture).expect("a picture");
    assert_eq!(bytes[16..24], [SIZE.0.to_be_bytes(), SIZE.1.to_be_bytes()].concat(), "its size in pixels");
    assert!(bytes.len() > 4000, "an empty page makes a picture of {} bytes", bytes.len());
    (text, picture)
}

async fn browse(rented: &Rented, how: &[String]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = rented.network.command(Path::new("chromium"));
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--hide-scrollbars",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    // The certificate is the machine's own CA's.
    command.args(["--ignore-certificate-errors", "--virtual-time-budget=2000"]);
    command
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(how)
        .arg("https://203.0.113.7/");
    run(&mut command, "chromium", Duration::from_secs(90)).await.unwrap()
}
