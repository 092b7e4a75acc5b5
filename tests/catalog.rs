//! A provider is data: a new one is two files, and no code knows a provider by name.

mod support;

use std::fs;
use std::path::Path;

use provider_profiles::{Catalog, GuestPlan};
use support::{default_provider, program, root, stderr, stdout, tracked};

const NEW: &str = "cumulus";

/// A copy of the providers' folder with an invented one beside the others.
fn with_a_new_provider(folder: &Path, fixture: bool) {
    for kind in ["profiles", "fixtures"] {
        fs::create_dir_all(folder.join(kind)).unwrap();
        for entry in fs::read_dir(root().join("provider-profiles").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(kind).join(path.file_name().unwrap())).unwrap();
        }
    }
    let known = Catalog::embedded().unwrap();
    let known = &known.find(&default_provider()).unwrap().profile;
    let profile = fs::read_to_string(folder.join(format!("profiles/{}.toml", known.id))).unwrap();
    let profile = profile
        .replace(&format!("id = \"{}\"", known.id), &format!("id = \"{NEW}\""))
        .replace(&format!("name = \"{}\"", known.name), "name = \"Cumulus Ltd\"")
        .replace(&format!("builder = \"{}\"", known.packer.builder), "builder = \"cumulus-vm\"");
    fs::write(folder.join(format!("profiles/{NEW}.toml")), profile).unwrap();
    if fixture {
        let from = folder.join(format!("fixtures/{}.toml", known.id));
        fs::copy(from, folder.join(format!("fixtures/{NEW}.toml"))).unwrap();
    }
}

#[test]
fn a_fifth_provider_is_two_files() {
    let (profiles, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    with_a_new_provider(profiles.path(), true);
    let run = |arguments: &[&str]| {
        program().args(arguments).arg("--profiles").arg(profiles.path()).output().unwrap()
    };
    let out = out.path().to_str().unwrap();
    let output = run(&["generate", NEW, "--out", out]);
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| fs::read_to_string(Path::new(out).join(NEW).join(name)).unwrap();
    let source: hcl::Body = hcl::parse(&read("source.pkr.hcl")).unwrap();
    let labels: Vec<_> =
        source.blocks().next().unwrap().labels().iter().map(|l| l.as_str().to_owned()).collect();
    assert_eq!(labels, ["cumulus-vm", "echora"]);
    let plan: GuestPlan = toml::from_str(&read("provider.toml")).unwrap();
    assert_eq!((plan.id.as_str(), plan.name.as_str()), (NEW, "Cumulus Ltd"));
    assert!(stdout(&run(&["providers"])).contains("Cumulus Ltd"));
    let table = echora_images::render::readme_table(&Catalog::from_folder(profiles.path()).unwrap());
    assert!(table.contains("| Cumulus Ltd | `cumulus` |"), "{table}");
}

#[test]
fn what_is_described_twice_is_found_and_the_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let id = default_provider();
    let whole = root().join(format!("provider-profiles/simulators/{id}.toml"));
    fs::copy(whole, folder.path().join(format!("{id}.toml"))).unwrap();
    assert!(Catalog::simulators_in(folder.path()).unwrap().contains_key(&id));
    let part = folder.path().join(&id);
    fs::create_dir(&part).unwrap();
    for (text, told) in [
        ("[kinds.key]\nid = 'number'\nfields = '{}'\n", "the kind key is described twice"),
        ("[errors]\nbroken = { status = 500, message = '' }\n", "the error broken is described twice"),
        ("[rate]\nrequests = 1\n", "unknown field"),
    ] {
        fs::write(part.join("more.toml"), text).unwrap();
        let error = format!("{:#}", Catalog::simulators_in(folder.path()).unwrap_err());
        assert!(error.contains(&format!("{id}/more.toml")) && error.contains(told), "{error}");
    }
}

#[test]
fn a_profile_without_a_fixture_names_the_path_to_create() {
    let profiles = tempfile::tempdir().unwrap();
    with_a_new_provider(profiles.path(), false);
    let error = format!("{:#}", Catalog::from_folder(profiles.path()).unwrap_err());
    assert!(error.contains("create provider-profiles/fixtures/cumulus.toml"), "{error}");
}

#[test]
fn a_damaged_profile_names_file_line_and_key() {
    let profiles = tempfile::tempdir().unwrap();
    with_a_new_provider(profiles.path(), true);
    let file = profiles.path().join(format!("profiles/{NEW}.toml"));
    let good = fs::read_to_string(&file).unwrap();
    for (from, to, key, line) in [
        ("[identity]", "[identity]\ncolour = \"red\"", "colour", true),
        ("trim = true", "trim = \"yes\"", "trim", true),
        ("id = \"cumulus\"", "id = \"nimbus\"", "`id`", false),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let error = format!("{:#}", Catalog::from_folder(profiles.path()).unwrap_err());
        assert!(error.contains("profiles/cumulus.toml") && error.contains(key), "{error}");
        assert!(!line || error.contains("line "), "{error}");
    }
}

#[test]
fn every_fact_has_its_day_and_its_source() {
    for entry in Catalog::embedded().unwrap().iter() {
        let text =
            serde_json::to_string(&entry.profile).unwrap() + &serde_json::to_string(&entry.fixture).unwrap();
        let days: Vec<_> =
            text.split("\"checked\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        for day in &days {
            let form: String =
                day.bytes().map(|b| if b.is_ascii_digit() { '9' } else { char::from(b) }).collect();
            assert_eq!(form, "9999-99-99", "{}: {day}", entry.profile.id);
        }
        assert!(
            days.len() >= 9 && text.matches("\"url\":\"https://").count() == days.len(),
            "{}",
            entry.profile.id
        );
    }
}

/// Names of providers are data: in code they would be a list to keep, or a special case.
#[test]
fn no_code_knows_a_provider_by_name() {
    let catalog = Catalog::embedded().unwrap();
    let mut found = Vec::new();
    for file in tracked(&["*.rs", "*.sh", "*.py", "Makefile", "firstboot/stack", "rehearsal/base", ".ci"]) {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            // Sources of facts may be named where a fact is used.
            let code = line.split("https://").next().unwrap_or_default();
            for entry in catalog.iter() {
                let names = [entry.profile.id.to_lowercase(), entry.profile.name.to_lowercase()];
                if names.iter().any(|name| code.to_lowercase().contains(name)) {
                    found.push(format!("{}:{}: {}", file.display(), number + 1, entry.profile.id));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
