//! Which images go into a machine: built here, or given by a maintainer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::Image;

/// The names that the stack runs.
const NAMES: [&str; 3] = ["postgres", "caddy", "backend"];

/// Where one image comes from.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// A docker-archive that is uploaded.
    Archive(Image),
    /// A reference with digest that the machine pulls while it is built.
    Reference {
        /// Its name in the stack.
        name: String,
        /// `registry/repository@sha256:...`.
        reference: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    reference: Option<String>,
    archive: Option<PathBuf>,
}

/// Reads a maintainer's file: a table per image with `reference` (with digest) or `archive` (a docker-archive).
pub fn read_set(file: &Path) -> Result<Vec<ImageSource>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut given: BTreeMap<String, Given> =
        toml::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
    let mut sources = Vec::new();
    for name in NAMES {
        let Some(image) = given.remove(name) else { bail!("{} has no table [{name}]", file.display()) };
        sources.push(match (image.reference, image.archive) {
            (Some(reference), None) if reference.contains("@sha256:") => ImageSource::Reference { name: name.into(), reference },
            (Some(reference), None) => {
                bail!("[{name}] {reference:?} has no digest: a tag can be another image tomorrow, write NAME@sha256:...")
            }
            (None, Some(archive)) => {
                let archive = file.parent().unwrap_or(Path::new(".")).join(archive);
                let id = super::archive::id_of(&archive)?;
                ImageSource::Archive(Image { name: name.into(), archive, id, reused: true })
            }
            _ => bail!("[{name}] needs either `reference` or `archive`"),
        });
    }
    match given.keys().next() {
        Some(unknown) => bail!("{} has a table [{unknown}]; known are {}", file.display(), NAMES.join(", ")),
        None => Ok(sources),
    }
}

/// Refuses archives for another processor than `architecture`, which is named as in images. Of a reference the machine's
/// engine takes the part that fits, or fails.
pub fn check_architecture(images: &[ImageSource], architecture: &str) -> Result<()> {
    for image in images {
        let ImageSource::Archive(image) = image else { continue };
        let found = super::archive::architecture_of(&image.archive)?;
        if found != architecture {
            bail!(
                "[{}] {} is for {found}, the machine is {architecture}",
                image.name,
                image.archive.display()
            );
        }
    }
    Ok(())
}

/// Puts archives and `images.json` into the payload.
pub fn write_payload(images: &[ImageSource], payload: &Path) -> Result<()> {
    let folder = payload.join("images");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut list = Vec::new();
    for image in images {
        list.push(match image {
            ImageSource::Archive(image) => {
                let file = format!("images/{}.tar", image.name);
                let to = payload.join(&file);
                // The same disk needs no second copy.
                fs::hard_link(&image.archive, &to).or_else(|_| fs::copy(&image.archive, &to).map(drop))
                    .with_context(|| format!("cannot copy {}", image.archive.display()))?;
                json!({"name": image.name, "tag": tag(&image.name), "archive": file, "reference": null, "digest": image.id})
            }
            ImageSource::Reference { name, reference } => {
                json!({"name": name, "tag": tag(name), "archive": null, "reference": reference, "digest": null})
            }
        });
    }
    let text = serde_json::to_string_pretty(&list).context("cannot write images.json")?;
    fs::write(payload.join("images.json"), text).context("cannot write images.json")
}

impl ImageSource {
    /// Its name in the stack.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Archive(image) => &image.name,
            Self::Reference { name, .. } => name,
        }
    }

    /// What it is identified by: the image id, or the reference's digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        match self {
            Self::Archive(image) => &image.id,
            Self::Reference { reference, .. } => reference,
        }
    }
}

/// The tag under which an image runs, wherever it came from.
#[must_use]
pub fn tag(name: &str) -> String {
    format!("echora/{name}:installed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_for_another_processor_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("backend.tar");
        let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
        let manifest = r#"[{"Config": "blobs/sha256/ab12", "Layers": []}]"#;
        for (name, text) in
            [("blobs/sha256/ab12", r#"{"architecture": "arm64"}"#), ("manifest.json", manifest)]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.finish().unwrap();
        let id = super::super::archive::id_of(&archive).unwrap();
        assert_eq!(id, "sha256:ab12");
        let image = Image { name: "backend".into(), archive, id, reused: true };
        let images = [ImageSource::Archive(image)];
        check_architecture(&images, "arm64").unwrap();
        let error = check_architecture(&images, "amd64").unwrap_err().to_string();
        assert!(
            error.contains("[backend]") && error.contains("is for arm64, the machine is amd64"),
            "{error}"
        );
    }

    fn read(text: &str) -> Result<Vec<ImageSource>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read_set(file.path())
    }

    #[test]
    fn references_need_a_digest() {
        let digest = format!("x@sha256:{}", "0".repeat(64));
        let good = format!(
            "[postgres]\nreference = '{digest}'\n[caddy]\nreference = '{digest}'\n[backend]\nreference = '{digest}'"
        );
        assert_eq!(read(&good).unwrap().len(), 3);
        let error = read("[postgres]\nreference = 'postgres:17'").unwrap_err().to_string();
        assert!(error.contains("no digest"), "{error}");
        assert!(read(&good.replace("[backend]", "[backdoor]")).is_err());
    }
}
