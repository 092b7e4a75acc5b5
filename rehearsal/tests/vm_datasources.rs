//! The base disk under the real cloud-init, as each provider's machine: what the fixtures claim, cloud-init must accept. Its
//! code for each metadata service is asked by itself in a cell, and in `make soak` the whole of it on a machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use echora_rehearsal::base;
use echora_rehearsal::cache::Cache;
use echora_rehearsal::cell::Cell;
use echora_rehearsal::machine::{Accelerator, KeyPair, Machine, Spec};
use echora_rehearsal::metadata::{Asked, Metadata, setting_for};
use echora_rehearsal::network::{MACHINE_V4, MACHINE_V6, Network};
use provider_profiles::{Catalog, Datasource, Entry, Exchange, Fixture, KeyDelivery, Setting};
use serde_json::{Value, json};

const BOOT: Duration = Duration::from_secs(300);
const CPUS: u32 = 2;
const MEMORY: u32 = 1024;
const USER_DATA: &str = "#cloud-config
write_files:
- path: /etc/echora/config.toml
  permissions: '0600'
  content: |
    domain = \"chat.example.org\"
";
/// A cell has its host's DMI strings, and systemd starts no cloud-init in it: both come by hand.
const READ: &str = r#"
import importlib, json, pkgutil, sys
from cloudinit import dmi, sources, stages
cloud_id, strings = json.load(sys.stdin)
dmi.read_dmi_data = strings.get
name = next(m.name for m in pkgutil.iter_modules(sources.__path__) if m.name.lower() == "datasource" + cloud_id)
module = importlib.import_module("cloudinit.sources." + name)
init = stages.Init()
init.read_cfg()
# A cell's card is no physical one, the only kind that a source would lend an address of its own.
cfg = init.cfg
cfg.setdefault("datasource", {}).setdefault(name.removeprefix("DataSource"), {})["use_ip4LL"] = False
source = module.get_datasource_list((sources.DEP_FILESYSTEM,))[0](cfg, init.distro, init.paths)
if not source.get_data():
    sys.exit("it takes the machine for none of this provider's")
user_data = source.get_userdata_raw()
print(json.dumps({
    "instance-id": str(source.get_instance_id()),
    "keys": source.get_public_ssh_keys(),
    "user-data": user_data.decode() if isinstance(user_data, bytes) else user_data,
    "hostname": source.get_hostname().hostname,
}))
"#;
/// What a cell finds under /sys are its host's network cards.
const WITH_ITS_CARDS: &str = r#"unshare --mount sh -c 'mount -t sysfs sysfs /sys && exec "$@"' sh"#;
/// Prints `name=value` lines.
const LOOK: &str = r#"
code=0; cloud-init status --wait >/dev/null || code=$?
echo "status=$code"
echo "cloud-id=$(cloud-id)"
echo "instance-id=$(cloud-init query instance_id)"
echo "hostname=$(hostname)"
echo "v4=$(ip -brief -4 address show scope global | tr -s ' \n' ' ')"
echo "v6=$(ip -brief -6 address show scope global | tr -s ' \n' ' ')"
echo "v4-route=$(ip -4 route show default | tr -s ' \n' ' ')"
echo "config=$(stat -c %a /etc/echora/config.toml) $(cat /etc/echora/config.toml)"
echo "errors=$(cloud-init status --format json | tr -d '\n')"
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "six minutes: make soak"]
async fn cloud_init_takes_every_providers_machine_as_the_provider_means_it() {
    let cache = Cache::user().unwrap();
    let disk = base::debian(&cache).await.unwrap().path.join(base::DISK);
    let accelerator = Accelerator::detect(&cache, &disk).await.unwrap();
    let mut defects = Vec::new();
    // One after another: emulated machines side by side would outlast their deadlines.
    for entry in Catalog::embedded().unwrap().iter() {
        if let Err(error) = rehearse(entry, disk.clone(), accelerator).await {
            defects.push(format!("{}: {error:#}", entry.profile.name));
        }
    }
    assert!(defects.is_empty(), "{}", defects.join("\n\n"));
}

async fn rehearse(entry: &Entry, disk: PathBuf, accelerator: Accelerator) -> Result<()> {
    let key = KeyPair::generate().await?;
    let network = Network::create(&[]).await?;
    let setting = setting_for(entry, vec![key.public().to_owned()], USER_DATA.into(), BTreeMap::new());
    let metadata = Metadata::serve(&network, &entry.fixture, setting.clone()).await?;
    let spec = Spec {
        entry,
        setting: &setting,
        backing: &disk,
        script: None,
        cpus: CPUS,
        memory: MEMORY,
        accelerator,
    };
    let machine = Machine::start(&network, &spec).await?;
    key.wait_for_ssh(&network, BOOT).await.with_context(|| machine.console_tail())?;
    let seen = key.ssh(&network, LOOK, BOOT).await.with_context(|| machine.console_tail())?;
    let asked = metadata.asked();
    check_machine(entry, &setting, &seen).with_context(|| format!("the machine says:\n{seen}"))?;
    check_asked(entry, &asked).with_context(|| format!("the service was asked: {asked:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_inits_own_code_reads_every_metadata_service() {
    let disk = base::debian(&Cache::user().unwrap()).await.unwrap().path.join(base::DISK);
    let mut defects = Vec::new();
    for entry in Catalog::embedded().unwrap().iter() {
        if let Err(error) = read(entry, &disk).await {
            defects.push(format!("{}: {error:#}", entry.profile.name));
        }
    }
    assert!(defects.is_empty(), "{}", defects.join("\n\n"));
}

async fn read(entry: &Entry, disk: &Path) -> Result<()> {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtleSBvZiBhIHRlc3Q= test";
    let network = Network::create(&[]).await?;
    let setting = setting_for(entry, vec![key.to_owned()], USER_DATA.into(), BTreeMap::new());
    let metadata = Metadata::serve(&network, &entry.fixture, setting.clone()).await?;
    let mut cell = Cell::make(disk, "i-1").await?;
    cell.put("run-read/read.py", READ, 0o644)?;
    cell.start(&network).await?;
    cell.settled(BOOT).await?;
    let boot = &entry.profile.boot;
    let strings = json!({"system-manufacturer": boot.dmi.manufacturer, "system-product-name": boot.dmi.product,
        "chassis-asset-tag": boot.dmi.asset_tag, "system-serial-number": setting.instance.instance_id});
    // Where new machines have a config drive, cloud-init still has its code for the service of old ones.
    let source = if boot.datasource == Datasource::Http { &boot.cloud_id } else { &entry.profile.id };
    let told = json!([source, strings]);
    let seen = cell.inside(&format!("echo '{told}' | {WITH_ITS_CARDS} python3 /run-read/read.py")).await?;
    let last = seen.lines().last().context("it says nothing")?;
    let seen: Value = serde_json::from_str(last).with_context(|| format!("it says {seen}"))?;
    ensure!(seen["instance-id"] == setting.instance.instance_id.as_str(), "the machine is {seen}");
    ensure!(seen["user-data"] == USER_DATA, "the user-data is {seen}");
    if boot.ssh_keys == KeyDelivery::Datasource {
        ensure!(seen["keys"] == json!([key]), "the keys are {seen}");
    }
    if let Some(hostname) = setting.instance.hostname.as_ref().filter(|_| tells_hostname(&entry.fixture)) {
        ensure!(seen["hostname"] == hostname.as_str(), "the host name is {seen}");
    }
    // With a network that is up already it may look first whether anything answers.
    let asked: Vec<Asked> = metadata.asked().into_iter().filter(|asked| asked.path != "/").collect();
    check_fetched(entry, &asked).with_context(|| format!("the service was asked: {asked:?}"))
}

fn check_machine(entry: &Entry, setting: &Setting, seen: &str) -> Result<()> {
    let seen: BTreeMap<&str, &str> = seen.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |name: &str| seen.get(name).copied().unwrap_or_default().trim();
    // 2: done, with something that cloud-init recovered from.
    ensure!(["0", "2"].contains(&get("status")), "cloud-init failed: {}", get("errors"));
    ensure!(get("cloud-id") == entry.profile.boot.cloud_id, "cloud-id is {:?}", get("cloud-id"));
    ensure!(
        get("instance-id") == setting.instance.instance_id,
        "the instance id is {:?}",
        get("instance-id")
    );
    if let Some(hostname) = setting.instance.hostname.as_ref().filter(|_| tells_hostname(&entry.fixture)) {
        ensure!(get("hostname") == hostname, "the host name is {:?}", get("hostname"));
    }
    ensure!(get("v4").contains(&format!(" {MACHINE_V4}/")), "IPv4 addresses: {:?}", get("v4"));
    ensure!(get("v6").contains(&format!(" {MACHINE_V6}/")), "IPv6 addresses: {:?}", get("v6"));
    ensure!(get("v4-route").contains(&format!("via {} ", setting.gateway)), "route: {:?}", get("v4-route"));
    ensure!(get("config") == "600 domain = \"chat.example.org\"", "the buyer's file is {:?}", get("config"));
    Ok(())
}

/// Whether anything is called a host name; a label that machines are given in its place sets none.
fn tells_hostname(fixture: &Fixture) -> bool {
    let drive = fixture.config_drive.iter().flat_map(|drive| drive.files.values());
    let mut bodies = fixture.exchanges.iter().map(|exchange| &exchange.body).chain(drive);
    bodies.any(|body| body.replace("instance.hostname", "").contains("hostname"))
}

fn check_asked(entry: &Entry, asked: &[Asked]) -> Result<()> {
    if entry.profile.boot.datasource == Datasource::Http {
        return check_fetched(entry, asked);
    }
    ensure!(asked.is_empty(), "a machine with a config drive needs no service");
    Ok(())
}

/// The fixture itself tells which paths carry what the machine turned out to have.
fn check_fetched(entry: &Entry, asked: &[Asked]) -> Result<()> {
    let boot = &entry.profile.boot;
    let unknown: Vec<_> = asked.iter().filter(|asked| asked.status != 200).collect();
    ensure!(unknown.is_empty(), "cloud-init asked for what the fixture does not answer: {unknown:?}");
    let got =
        |method: &str, path: &str| asked.iter().any(|asked| asked.method == method && asked.path == path);
    let carriers = |what: &str| {
        let carry = |exchange: &&Exchange| exchange.body.contains(what);
        entry.fixture.exchanges.iter().filter(carry).any(|exchange| got(&exchange.method, &exchange.path))
    };
    ensure!(carriers("instance.instance_id"), "the instance id was not fetched");
    ensure!(carriers("user_data"), "the user-data was not fetched");
    if boot.ssh_keys == KeyDelivery::Datasource {
        ensure!(carriers("ssh_keys"), "the keys were not fetched");
    }
    for issuer in entry.fixture.exchanges.iter().filter(|exchange| exchange.issues_token) {
        ensure!(got(&issuer.method, &issuer.path), "no session token was fetched");
    }
    Ok(())
}
