//! Container images as files: what `docker load` reads, equal bytes from equal content, and what lies in them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use echora_rehearsal::cache::{Cache, hex_sha256};
use echora_rehearsal::images::{self, Image, ImageSource};
use echora_rehearsal::tools::Tool;
use serde_json::Value;
use tempfile::TempDir;

/// A cache of the test's own, but for the image of PostgreSQL, which takes long to build.
fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    symlink(Cache::user().unwrap().folder("image-postgres").unwrap(), folder.path().join("image-postgres"))
        .unwrap();
    let cache = Cache::at(folder.path().to_owned());
    (folder, cache)
}

fn program(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn build(cache: &Cache, app: &str) -> Vec<Image> {
    let work = tempfile::tempdir().unwrap();
    let path = program(work.path(), "caddy", "web server");
    let caddy = Tool { path, version: "2.0.0".into(), how: String::new(), reused: true };
    images::build_all(cache, &program(work.path(), "backend", app), &caddy).await.unwrap()
}

/// The files of an archive.
fn content(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(File::open(archive).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(name, bytes);
    }
    files
}

fn config(image: &Image) -> Value {
    let files = content(&image.archive);
    serde_json::from_slice(&files[&format!("{}.json", image.id.trim_start_matches("sha256:"))]).unwrap()
}

#[tokio::test]
async fn an_archive_is_what_docker_load_reads() {
    let (_folder, cache) = cache();
    let images = build(&cache, "app").await;
    assert_eq!(
        images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(),
        ["postgres", "caddy", "backend"]
    );
    for image in &images {
        let files = content(&image.archive);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], format!("echora/{}:installed", image.name));
        let config_file = manifest[0]["Config"].as_str().unwrap();
        assert_eq!(image.id, format!("sha256:{}", hex_sha256(&files[config_file])), "{}", image.name);
        let layer = manifest[0]["Layers"][0].as_str().unwrap();
        let diff_id = &config(image)["rootfs"]["diff_ids"][0];
        assert_eq!(
            diff_id.as_str().unwrap(),
            format!("sha256:{}", hex_sha256(&files[layer])),
            "{}",
            image.name
        );
        for entry in tar::Archive::new(files[layer].as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0, "{:?} tells when it was built", entry.path());
        }
        let command = config(image)["config"]["Cmd"].clone();
        assert!(command.as_array().is_some_and(|words| !words.is_empty()), "{} runs nothing", image.name);
    }
}

#[tokio::test]
async fn equal_content_gives_equal_bytes_in_any_cache() {
    let (here, there) = (cache(), cache());
    let (one, two, other) =
        (build(&here.1, "app").await, build(&there.1, "app").await, build(&there.1, "app 2").await);
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.id, two.id, "{}", one.name);
        assert!(fs::read(&one.archive).unwrap() == fs::read(&two.archive).unwrap(), "{}", one.name);
    }
    let reused: Vec<bool> = other.iter().map(|image| image.reused).collect();
    assert_eq!(reused, [true, true, false], "only the app has changed");
    assert_ne!(two[2].id, other[2].id);
}

#[tokio::test]
async fn caddy_and_the_app_lie_where_their_images_contracts_say() {
    let (folder, cache) = cache();
    let images = build(&cache, "app").await;
    let unpacked = |image: &Image| {
        let tree = folder.path().join("tree").join(&image.name);
        fs::create_dir_all(&tree).unwrap();
        images::unpack(image, &tree).unwrap();
        tree
    };
    let caddy = unpacked(&images[1]);
    assert_eq!(fs::read_to_string(caddy.join("usr/bin/caddy")).unwrap(), "web server");
    assert!(caddy.join("usr/bin/caddy").metadata().unwrap().mode() & 0o111 == 0o111);
    let certificates = fs::read_to_string(caddy.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(certificates.contains("BEGIN CERTIFICATE"));
    let about = config(&images[1])["config"].clone();
    assert_eq!(about["WorkingDir"], "/srv");
    let environment: Vec<&str> = about["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(environment.contains(&"XDG_DATA_HOME=/data") && environment.contains(&"XDG_CONFIG_HOME=/config"));

    let backend = unpacked(&images[2]);
    assert_eq!(fs::read_to_string(backend.join("app/echora")).unwrap(), "app");
    assert!(backend.join("app/echora").metadata().unwrap().mode() & 0o111 == 0o111);
    let about = config(&images[2])["config"].clone();
    assert_eq!((about["WorkingDir"].as_str(), about["Cmd"][0].as_str()), (Some("/app"), Some("./echora")));
}

#[tokio::test]
async fn the_payload_lists_each_image_with_its_archive_or_reference() {
    let (folder, cache) = cache();
    let payload = folder.path().join("payload");
    let reference = format!("registry.example/caddy@sha256:{}", "0".repeat(64));
    let mut sources: Vec<_> = build(&cache, "app").await.into_iter().map(ImageSource::Archive).collect();
    sources[1] = ImageSource::Reference { name: "caddy".into(), reference: reference.clone() };
    images::write_payload(&sources, &payload).unwrap();
    let list: Value = serde_json::from_slice(&fs::read(payload.join("images.json")).unwrap()).unwrap();
    for (entry, source) in list.as_array().unwrap().iter().zip(&sources) {
        assert_eq!(entry["name"], source.name());
        assert_eq!(entry["tag"], format!("echora/{}:installed", source.name()));
        match source {
            ImageSource::Archive(image) => {
                assert_eq!(
                    (entry["digest"].as_str(), entry["reference"].as_str()),
                    (Some(image.id.as_str()), None)
                );
                let copy = payload.join(entry["archive"].as_str().unwrap());
                assert_eq!(fs::metadata(copy).unwrap().len(), fs::metadata(&image.archive).unwrap().len());
            }
            ImageSource::Reference { .. } => {
                assert_eq!(
                    (entry["reference"].as_str(), entry["archive"].as_str()),
                    (Some(reference.as_str()), None)
                );
            }
        }
    }
}

#[tokio::test]
async fn a_maintainers_set_takes_what_docker_save_writes() {
    let (folder, cache) = cache();
    let built = build(&cache, "app").await;
    let file = folder.path().join("images.toml");
    let archive = |image: &Image| format!("[{}]\narchive = '{}'\n", image.name, image.archive.display());
    let set: String = built.iter().map(archive).collect();
    fs::write(&file, &set).unwrap();
    let read = images::read_set(&file).unwrap();
    let digests = |sources: &[ImageSource]| sources.iter().map(|s| s.digest().to_owned()).collect::<Vec<_>>();
    assert_eq!(digests(&read), built.iter().map(|image| image.id.clone()).collect::<Vec<_>>());

    let bad = |text: String, wanted: &str| {
        fs::write(&file, text).unwrap();
        let error = format!("{:#}", images::read_set(&file).unwrap_err());
        assert!(error.contains(wanted), "{error}");
    };
    bad(set.replace("[backend]", "[frontend]"), "[backend]");
    bad(format!("{set}reference = 'x'\n"), "either");
    bad(set.replace(&built[0].archive.display().to_string(), "nowhere.tar"), "nowhere.tar");
    let empty = folder.path().join("empty.tar");
    assert!(
        Command::new("tar").args(["-cf"]).arg(&empty).args(["-T", "/dev/null"]).status().unwrap().success()
    );
    bad(set.replace(&built[0].archive.display().to_string(), "empty.tar"), "no manifest.json");
}
