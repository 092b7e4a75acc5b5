//! From power-on to the login, on a virtual machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use echora_rehearsal::cache::Cache;
use echora_rehearsal::machine::{Accelerator, Machine, Spec};
use echora_rehearsal::metadata::{Metadata, setting_for};
use echora_rehearsal::network::Network;
use serde_json::json;

use crate::contestant::{INSTEAD, prepare_bare};
use crate::figure::Figure;
use crate::round::GOAL;
use crate::support::snapshot::Built;

/// Far more than a machine takes under emulation.
const BOOT: Duration = Duration::from_secs(900);
const TRIES: usize = 3;
const CPUS: u32 = 2;
/// In MiB.
const MEMORY: u32 = 2048;

/// Compose alone, between two lines on the console.
const SCRIPT: &str = "#!/bin/sh\necho 'bare: begins' >/dev/ttyS0\ncd /opt/echora && docker compose up -d --wait && \
                      echo 'bare: is up' >/dev/ttyS0\n";
/// Both machines do the same work before the time of the stack begins; one of them undoes it.
const UNDO: &str = "rm -rf /opt/echora/.env /var/lib/echora && install -d -m 0700 /var/lib/echora";

/// Seconds from power-on to the unit's start and to the stack, on two machines in turns, `rounds` times.
pub(crate) async fn all(image: &Built, rounds: usize) -> Result<Vec<Figure>> {
    let prepare = prepare_bare(MEMORY.into());
    let bare = format!(
        "{prepare}\ninstall -d /etc/systemd/system/echora-firstboot.service.d\n\
         printf '%s' \"$1\" >/etc/systemd/system/echora-firstboot.service.d/instead.conf\n\
         printf '%s' \"$2\" >/usr/local/bin/contestant\nchmod 0755 /usr/local/bin/contestant\nsystemctl daemon-reload\n"
    );
    let ours = format!("{prepare}\n{UNDO}\nsystemctl daemon-reload\n");
    let contestants =
        [(bare, ["bare: begins", "bare: is up"]), (ours, ["echora: [2/9]", echora_firstboot::login::END])];
    let (mut whole, mut own) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..rounds {
        for place in 0..contestants.len() {
            let turn = (round + place) % contestants.len();
            let (early, texts) = &contestants[turn];
            let (begins, ends) = boot(image, early, *texts).await?;
            whole[turn].push(ends);
            own[turn].push(ends - begins);
        }
    }
    let [bare, ours] = whole;
    let [bare_own, ours_own] = own;
    let bare = Figure::of("VM: power-on to the stack, Compose alone", &bare, "s");
    let bare_own = Figure::of("VM: Compose alone, from its start", &bare_own, "s");
    let (limit, limit_own) = (bare.value, bare_own.value);
    Ok(vec![
        bare.against(limit, None),
        Figure::of("VM: power-on to the printed login", &ours, "s").against(limit, Some(GOAL)),
        bare_own,
        Figure::of("VM: echora-firstboot, from its second step", &ours_own, "s").against(limit_own, None),
    ])
}

/// Seconds from power-on until the console shows each of the two texts; `early` is run by cloud-init at its beginning.
async fn boot(image: &Built, early: &str, texts: [&str; 2]) -> Result<(f64, f64)> {
    for _ in 0..TRIES {
        let took = try_boot(image, early, texts).await?;
        eprintln!("VM: {:6.1} s to {:?}, {:6.1} s to {:?}", took.0, texts[0], took.1, texts[1]);
        if !took.2 {
            return Ok((took.0, took.1));
        }
    }
    bail!("the emulator broke the machine's kernel {TRIES} times")
}

/// As [`boot`]; and whether the machine had to be powered on again meanwhile.
async fn try_boot(
    Built { entry, disk, .. }: &Built,
    early: &str,
    texts: [&str; 2],
) -> Result<(f64, f64, bool)> {
    let network = Network::create(&[]).await?;
    let command = json!({"bootcmd": [["sh", "-c", early, "early", INSTEAD, SCRIPT]]});
    let setting = setting_for(entry, Vec::new(), format!("#cloud-config\n{command}\n"), BTreeMap::new());
    let _metadata = Metadata::serve(&network, &entry.fixture, setting.clone()).await?;
    let accelerator = Accelerator::detect(&Cache::user()?, disk).await?;
    let spec = Spec {
        entry,
        setting: &setting,
        backing: disk,
        script: None,
        cpus: CPUS,
        memory: MEMORY,
        accelerator,
    };
    let mut machine = Machine::start(&network, &spec).await?;
    let began = Instant::now();
    machine.wait_for(texts[0], 0, BOOT).await?;
    let first = began.elapsed().as_secs_f64();
    machine.wait_for(texts[1], 0, BOOT).await.context("the stack did not come up")?;
    let second = began.elapsed().as_secs_f64();
    let again = machine.console().contains("[rehearsal] the emulated kernel");
    Ok((first, second, again))
}
