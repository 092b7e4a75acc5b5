//! Programs that a rehearsal needs in a version that distributions do not have; `tools/tools.toml` says which.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use semver::Version;
use serde::Deserialize;
use tokio::process::Command;

use crate::cache::{Cache, Key, hex_sha256};
use crate::need::Missing;
use crate::process::run;

const CONNECT: Duration = Duration::from_secs(5);
const DOWNLOAD: Duration = Duration::from_secs(300);
const BUILD: Duration = Duration::from_secs(1500);
const ASK: Duration = Duration::from_secs(30);

/// A program that is there.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The program.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
    /// How it was obtained, in words.
    pub how: String,
    /// Whether nothing had to be obtained.
    pub reused: bool,
}

/// How a program can be obtained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    version: String,
    minimum: Version,
    /// None for a program that cannot tell: its module's lock file is trusted.
    version_arguments: Vec<String>,
    url: String,
    archive: Archive,
    module: PathBuf,
    package: String,
    ldflags: String,
    on_path: bool,
    sha256: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Archive {
    #[serde(rename = "zip")]
    Zip,
    #[serde(rename = "tar.gz")]
    TarGz,
}

/// The program `name`: from PATH when it is new enough, else the publisher's release, else built from its module.
pub async fn obtain(cache: &Cache, root: &Path, name: &str) -> Result<Tool> {
    let pin = pin(root, name)?;
    if pin.on_path
        && let Some((path, Ok(version))) = on_path(name, &pin).await
        && version >= pin.minimum
    {
        return Ok(Tool { path, version: version.to_string(), how: "on PATH".into(), reused: true });
    }
    let module = root.join(&pin.module);
    let key = Key::default().text("name", name).text("version", &pin.version).text("ldflags", &pin.ldflags);
    let key = key.path("module", &module)?;
    let kept = cache
        .keep(&format!("tool-{name}"), &key, async |folder| {
            let how = match release(name, &pin).await {
                Ok(program) => {
                    fs::write(folder.join(name), program).context("cannot keep the program")?;
                    "the publisher's release".to_owned()
                }
                Err(why) if why.is::<WrongDigest>() => return Err(why),
                Err(why) => {
                    build(&module, &pin, &folder.join(name)).await.with_context(|| format!("{why:#}"))?;
                    format!("built from its Go module: {why}")
                }
            };
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))
                .context("cannot make it executable")?;
            if !pin.version_arguments.is_empty() {
                let version = version_of(&folder.join(name), &pin).await?;
                let wanted = &pin.version;
                ensure!(version.to_string() == *wanted, "{name} calls itself {version} instead of {wanted}");
            }
            fs::write(folder.join("how"), how).context("cannot keep where it came from")
        })
        .await
        .with_context(|| format!("cannot obtain {name} {}", pin.version))?;
    let path = kept.path.join(name);
    let how = fs::read_to_string(kept.path.join("how")).context("cannot read where it came from")?;
    Ok(Tool { path, version: pin.version, how, reused: kept.reused })
}

/// The program `name` on PATH, which must be new enough: for builds in an account nothing else is looked at.
pub async fn installed(root: &Path, name: &str) -> Result<Tool> {
    let pin = pin(root, name)?;
    let page = pin.url.split("/{version}").next().unwrap_or_default().to_owned();
    let what = match on_path(name, &pin).await {
        Some((path, Ok(version))) if version >= pin.minimum => {
            return Ok(Tool { path, version: version.to_string(), how: "on PATH".into(), reused: true });
        }
        Some((path, Ok(version))) => {
            format!("{} is version {version}, {} or newer is needed", path.display(), pin.minimum)
        }
        Some((path, Err(_))) => format!("{} does not tell its version", path.display()),
        None => format!("{name} is not on PATH"),
    };
    Err(Missing::new(what, format!("install {name} {} from {page}", pin.version)).into())
}

/// Whether `tools/tools.toml` says how the program `name` is obtained.
pub fn is_pinned(root: &Path, name: &str) -> Result<bool> {
    Ok(pins(root)?.contains_key(name))
}

fn pin(root: &Path, name: &str) -> Result<Pin> {
    pins(root)?.remove(name).with_context(|| format!("tools/tools.toml has no table {name}"))
}

fn pins(root: &Path) -> Result<BTreeMap<String, Pin>> {
    let file = root.join("tools/tools.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
}

/// The first program of that name, whose version may not be found out: others have programs of the same name.
async fn on_path(name: &str, pin: &Pin) -> Option<(PathBuf, Result<Version>)> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    let version = version_of(&path, pin).await;
    Some((path, version))
}

async fn version_of(program: &Path, pin: &Pin) -> Result<Version> {
    let mut command = Command::new(program);
    command.args(&pin.version_arguments).env("CHECKPOINT_DISABLE", "1");
    let text = run(&mut command, &program.display().to_string(), ASK).await?;
    // Packer's plugins tell it in JSON.
    let mut words = text.split(|c: char| c.is_whitespace() || "\",:{}".contains(c));
    let version = words.find_map(|word| Version::parse(word.trim_start_matches('v')).ok());
    version.with_context(|| format!("{} does not tell its version: {}", program.display(), text.trim()))
}

/// The program out of the publisher's archive.
async fn release(name: &str, pin: &Pin) -> Result<Vec<u8>> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let Some(wanted) = pin.sha256.get(arch) else { bail!("no digest of the {arch} release is known") };
    let url = pin.url.replace("{version}", &pin.version).replace("{arch}", arch);
    let client = reqwest::Client::builder().connect_timeout(CONNECT).timeout(DOWNLOAD).build()?;
    let reply = client.get(&url).send().await.context("its publisher cannot be reached")?;
    let reply = reply.error_for_status().context("its publisher does not have it")?;
    let bytes = reply.bytes().await.context("its publisher broke off")?;
    let found = hex_sha256(&bytes);
    if found != *wanted {
        return Err(WrongDigest { url, found, wanted: wanted.clone() }.into());
    }
    unpack(name, pin.archive, &bytes).with_context(|| format!("{url} does not hold {name}"))
}

fn unpack(name: &str, archive: Archive, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut program = Vec::new();
    match archive {
        Archive::Zip => {
            zip::ZipArchive::new(Cursor::new(bytes))?.by_name(name)?.read_to_end(&mut program)?;
        }
        Archive::TarGz => {
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
            for entry in archive.entries()? {
                let mut entry = entry?;
                if entry.path()?.as_os_str() == name {
                    entry.read_to_end(&mut program)?;
                }
            }
            ensure!(!program.is_empty(), "no file of that name");
        }
    }
    Ok(program)
}

async fn build(module: &Path, pin: &Pin, to: &Path) -> Result<()> {
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-ldflags", &pin.ldflags, "-o"]).arg(to).arg(&pin.package);
    command.current_dir(module).env("CGO_ENABLED", "0");
    match run(&mut command, "go build", BUILD).await {
        Err(error) if error.is::<Missing>() => Err(Missing::new(
            "Go is not installed, and building is the last way left",
            "install Go 1.21 or newer",
        )
        .into()),
        built => built.map(drop),
    }
}

/// A release that is not the one that was pinned: nothing is tried after it.
#[derive(Debug)]
struct WrongDigest {
    url: String,
    found: String,
    wanted: String,
}

impl std::fmt::Display for WrongDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} has sha256 {}, tools/tools.toml says {}", self.url, self.found, self.wanted)
    }
}

impl std::error::Error for WrongDigest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
        for name in ["packer", "caddy", "pebble", "pebble-challtestsrv"] {
            let pin = pin(root, name).expect("a pin");
            assert!(Version::parse(&pin.version).expect("a version") >= pin.minimum);
            assert!(root.join(&pin.module).join("go.sum").is_file(), "{name} has no lock file");
            assert!(pin.sha256.values().all(|digest| digest.len() == 64), "{name}");
        }
    }

    #[test]
    fn a_program_is_taken_out_of_a_tar() {
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, "tool", &b"elf"[..]).expect("it fits");
        let bytes = builder.into_inner().and_then(flate2::write::GzEncoder::finish).expect("it closes");
        assert_eq!(unpack("tool", Archive::TarGz, &bytes).expect("it is there"), b"elf");
        assert!(unpack("other", Archive::TarGz, &bytes).is_err());
    }
}
