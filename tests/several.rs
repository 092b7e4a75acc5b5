//! Several builds at once: what one of them comes to is no other's affair.

mod support;

use std::time::Duration;

use provider_profiles::{Architecture, Base, Catalog};
use serde_json::{Value, json};
use support::fleet::{Fleet, Played};
use support::root;

/// Nothing here waits for more than the other builds.
const DEADLINE: Duration = Duration::from_secs(120);
const FAST: f64 = 1000.0;

/// Waits until so many builds are under way, and for at most half a minute.
fn all_have_begun(fleet: &Fleet, id: &str) -> String {
    let (folder, count) = (fleet.at("begun"), fleet.accounts.len());
    std::fs::create_dir_all(&folder).unwrap();
    let begun = folder.display();
    format!(
        "wait_for() {{ n=0; until eval \"$1\"; do n=$((n + 1)); [ $n -lt 600 ] || exit 9; sleep 0.05; done; }}\n\
         : >{begun}/{id}\nwait_for '[ $(ls {begun} | wc -l) -ge {count} ]'\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_go_on_side_by_side_and_one_that_fails_leaves_the_others_alone() {
    let fleet = Fleet::launch(FAST).await;
    let all: Vec<&Played> = fleet.accounts.iter().collect();
    assert!(all.len() > 2, "{} accounts prove little", all.len());
    let broken = fleet.at("broken");
    let failing = &all[1].id;
    for account in &all {
        let begin = all_have_begun(&fleet, &account.id);
        let then = match account.id == *failing {
            true => format!(": >{}; echo the disk broke >&2; exit 7\n", broken.display()),
            false => format!("wait_for '[ -e {} ]'\n", broken.display()),
        };
        fleet.does(&account.id, &(begin + &then));
    }

    let output = tokio::time::timeout(DEADLINE, fleet.build(&all).output()).await.unwrap().unwrap();
    let (table, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{said}\n{table}");
    let mut others: Vec<String> = all.iter().map(|account| account.id.clone()).collect();
    others.retain(|id| id != failing);
    assert_eq!(fleet.recorded(), others, "{said}");
    assert!(said.contains(&format!("1 of {} builds failed", all.len())), "{said}");
    assert!(said.contains("the disk broke"), "{said}");

    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap(), ["PROVIDER", "SNAPSHOT", "SECONDS", "COST", "RECORD"], "{table}");
    for row in rows {
        let failed = row[0] == failing;
        assert_eq!((row[1] == "failed", row[1] == "1"), (failed, !failed), "{table}");
        assert!(row[2].parse::<f64>().unwrap() > 0.0, "{table}");
        assert_eq!(row.last().unwrap().ends_with("record.json"), !failed, "{table}");
    }
    assert_eq!(table.lines().count(), all.len() + 1, "{table}");
    for account in &all {
        let own = format!("{} [3/3] building with Packer", account.id);
        assert!(said.contains(&own), "{own}: {said}");
    }
}

/// The commands of the documents that are for an account, in their order.
fn documented() -> Vec<String> {
    let pages = ["docs/providers.md", "docs/account.md"];
    let text = pages.map(|page| std::fs::read_to_string(root().join(page)).unwrap()).concat();
    let lines = text.lines().filter_map(|line| line.strip_prefix("echora-images "));
    let is_about_one =
        |line: &&str| line.contains("PROVIDER") || line.starts_with("prune") || *line == "images list";
    lines.filter(is_about_one).map(str::to_owned).collect()
}

/// For both processors, where the provider has both.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_documents_tell_a_maintainer_to_type_does_what_they_say() {
    let fleet = Fleet::launch(FAST).await;
    let catalog = Catalog::embedded().unwrap();
    let has_arm = |id: &&String| catalog.find(id).unwrap().profile.bases.iter().any(is_arm);
    let id =
        fleet.accounts.iter().map(|account| &account.id).find(has_arm).expect("one has machines for Arm");
    let seen = fleet.at("seen");
    fleet.does(id, &format!("cp \"$variables\" {}\n", seen.display()));
    let mut built = Vec::new();
    for line in documented() {
        let architecture = if line.contains("arm64") { "aarch64" } else { "x86_64" };
        let line = line.replace("PROVIDER", id).replace("path/to/frontend/build", "frontend");
        let line = line.replace("my-images.toml", &format!("images-{architecture}.toml"));
        let mut command = fleet.tool();
        command.args(line.split_whitespace());
        let output = tokio::time::timeout(DEADLINE, command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Nothing has died here that could be taken up, and there is no listing to be read.
        let status = if line.ends_with("--resume") { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(status), "{line}: {said}");
        if line.contains("--images") {
            let variables: Value = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
            built.push((variables["architecture"].clone(), variables["plan"].clone()));
        }
    }
    let bases = &catalog.find(id).unwrap().profile.bases;
    let plan = |arm: bool| json!(bases.iter().find(|base| is_arm(base) == arm).unwrap().plan);
    let (x86, arm) = ((json!("x86_64"), plan(false)), (json!("aarch64"), plan(true)));
    assert_eq!(built, [x86.clone(), arm, x86]);
    assert_eq!(fleet.recorded(), [id.as_str()]);
}

fn is_arm(base: &Base) -> bool {
    base.architecture == Architecture::Aarch64
}
