//! What a visitor's browser shows while a machine is set up, and after it: one page, opened once.

mod support;

use support::browser::Browser;
use support::cell::{BOOT, Rented};
use support::root;

/// A database that waits for a word: the boot stays as long where visitors see the page.
const HELD: &str = r#"services:
  postgres:
    entrypoint: [bash, -c, 'until [ -e /tmp/go ]; do sleep 0.1; done; exec docker-entrypoint.sh "$$@"', held]
"#;
const GO: &str = "docker exec echora-postgres touch /tmp/go";
const SIZE: (u32, u32) = (900, 560);
const URL: &str = "https://203.0.113.7/";

#[tokio::test]
async fn a_page_that_stays_open_shows_the_step_and_becomes_the_site() {
    let installed = std::process::Command::new("chromium").arg("--version").output();
    if installed.is_err() {
        println!("SKIPPED: no picture is taken, chromium is not installed");
        return;
    }
    let mut rented = Rented::make().await;
    rented.cell.put("opt/echora/compose.override.yaml", HELD, 0o644).unwrap();
    rented.start().await;
    rented.cell.wait_for("echora: [5/9]", 0, BOOT).await.unwrap();
    let mut browser = Browser::open(&rented.network, URL, SIZE).await;
    let words = ["Echora is starting", "Setting up the database", "becomes the site by itself"];
    browser.shows(&words, BOOT).await;
    keep("starting", &browser.picture().await);

    rented.cell.inside(GO).await.unwrap();
    let text = browser.shows(&["Sign in"], BOOT).await;
    assert!(!text.contains("is starting"), "{text}");
    keep("site", &browser.picture().await);
    let login = rented.login(0).await;
    assert_eq!(rented.role(&login).await.unwrap(), "owner");
}

/// Among what was built.
fn keep(name: &str, picture: &[u8]) {
    assert_eq!(picture[16..24], [SIZE.0.to_be_bytes(), SIZE.1.to_be_bytes()].concat(), "its size in pixels");
    assert!(picture.len() > 4000, "an empty page makes a picture of {} bytes", picture.len());
    let folder = root().join("target/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
}
