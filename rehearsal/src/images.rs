//! Container images of a rehearsal, written as docker-archives without a Docker daemon.
//!
//! Their entry points keep the official images' contracts, so that the stack is production's to the letter.

mod archive;
mod set;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::cache::{Cache, Key};
use crate::process::run;
use crate::tools::Tool;
use archive::Config;

pub use set::{ImageSource, check_architecture, read_set, tag, write_payload};

const SUITE: &str = "trixie";
const PACKAGES: &str = include_str!("../images/postgres/packages");
const CUSTOMIZE: &str = include_str!("../images/postgres/customize.sh");
const ENTRYPOINT: &str = include_str!("../images/postgres/docker-entrypoint.sh");
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An image, ready to be loaded.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name in the stack.
    pub name: String,
    /// The docker-archive.
    pub archive: PathBuf,
    /// Digest of its configuration: what Docker calls the image id.
    pub id: String,
    /// Whether it was kept from an earlier build.
    pub reused: bool,
}

/// The stack's images, from the cache or built now.
pub async fn build_all(cache: &Cache, app: &Path, caddy: &Tool) -> Result<Vec<Image>> {
    Ok(vec![postgres(cache).await?, self::caddy(cache, caddy).await?, backend(cache, app).await?])
}

/// The database's image, from the cache or built now.
pub async fn postgres(cache: &Cache) -> Result<Image> {
    let config = Config {
        env: &[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin",
            "PGDATA=/var/lib/postgresql/data",
            "LANG=C.UTF-8",
        ],
        entrypoint: &["docker-entrypoint.sh"],
        command: &["postgres"],
        folder: "/",
        volumes: &["/var/lib/postgresql/data"],
        stop_signal: Some("SIGINT"),
    };
    let key =
        Key::default().text("packages", PACKAGES).text("customize", CUSTOMIZE).text("entry", ENTRYPOINT);
    keep(cache, "postgres", key, &config, async |tree| {
        let work = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (hook, entry) = (work.path().join("customize.sh"), work.path().join("entrypoint.sh"));
        std::fs::write(&hook, CUSTOMIZE).context("cannot write the customize hook")?;
        std::fs::write(&entry, ENTRYPOINT).context("cannot write the entry point")?;
        let include = PACKAGES.split_whitespace().collect::<Vec<_>>().join(",");
        let mut command = Command::new("mmdebstrap");
        command.args(["--variant=essential", "--mode=root", "--skip=output/dev"]).arg(format!("--include={include}"));
        // The package would make a cluster of its own.
        command.arg(r#"--essential-hook=mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf""#);
        command.arg(format!("--customize-hook=sh {} \"$1\" {}", hook.display(), entry.display()));
        command.arg(SUITE).arg(tree);
        run(&mut command, "mmdebstrap", Duration::from_secs(900)).await.map(drop)
    })
    .await
}

async fn caddy(cache: &Cache, caddy: &Tool) -> Result<Image> {
    let config = Config {
        env: &["PATH=/usr/bin", "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data"],
        entrypoint: &[],
        command: &["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
        folder: "/srv",
        volumes: &[],
        stop_signal: None,
    };
    let key = Key::default().path("caddy", &caddy.path)?;
    keep(cache, "caddy", key, &config, async |tree| {
        for folder in ["config", "data", "etc/caddy", "srv", "tmp", "usr/bin", "etc/ssl/certs"] {
            std::fs::create_dir_all(tree.join(folder)).context("cannot make the image's folders")?;
        }
        std::fs::copy(&caddy.path, tree.join("usr/bin/caddy")).context("cannot copy Caddy")?;
        std::fs::copy(CERTIFICATES, tree.join("etc/ssl/certs/ca-certificates.crt"))
            .context("cannot copy the system's CA certificates (package ca-certificates)")
            .map(drop)
    })
    .await
}

async fn backend(cache: &Cache, app: &Path) -> Result<Image> {
    let config = Config {
        env: &["PATH=/app", "RUST_LOG=info"],
        entrypoint: &[],
        command: &["./echora"],
        folder: "/app",
        volumes: &[],
        stop_signal: None,
    };
    let key = Key::default().path("app", app)?;
    keep(cache, "backend", key, &config, async |tree| {
        for folder in ["app", "tmp"] {
            std::fs::create_dir_all(tree.join(folder)).context("cannot make the image's folders")?;
        }
        std::fs::copy(app, tree.join("app/echora")).context("cannot copy the app").map(drop)
    })
    .await
}

async fn keep(
    cache: &Cache,
    name: &str,
    key: Key,
    config: &Config<'_>,
    fill: impl AsyncFnOnce(&Path) -> Result<()>,
) -> Result<Image> {
    let key = key.text("config", &format!("{config:?}"));
    let kept = cache
        .keep(&format!("image-{name}"), &key, async |folder| {
            let tree = tempfile::tempdir().context("cannot make a temporary folder")?;
            fill(tree.path()).await?;
            let id = archive::write(tree.path(), config, &tag(name), &folder.join("image.tar"))?;
            std::fs::write(folder.join("id"), id).context("cannot keep the image's id")
        })
        .await
        .with_context(|| format!("cannot make the image {name}"))?;
    let id = std::fs::read_to_string(kept.path.join("id")).context("cannot read the image's id")?;
    Ok(Image { name: name.into(), archive: kept.path.join("image.tar"), id, reused: kept.reused })
}

/// Unpacks an image's files into `folder`.
pub fn unpack(image: &Image, folder: &Path) -> Result<()> {
    archive::unpack(&image.archive, folder)
}
