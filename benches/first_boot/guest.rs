//! What the guest binary itself takes, and the generator.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use echora_images::project::Project;
use provider_profiles::Architecture;

use crate::contestant::{Field, OURS};
use crate::figure::Figure;
use crate::round::at_rest;
use crate::support::cell::BOOT;
use crate::support::run;

/// Between two looks at a process that runs: what it does after the last one is not counted.
const PAUSE: Duration = Duration::from_millis(1);
const CPU_MS: f64 = 50.0;
const RSS_MB: f64 = 12.0;
const BINARY_MB: f64 = 2.5;
const GENERATE_MS: f64 = 20.0;
const TIMES: usize = 15;

/// Processor time, memory and size of the guest binary, and the time of `generate`.
pub(crate) async fn all(field: &Field) -> Result<Vec<Figure>> {
    let (cpu, rss) = watched(field).await?;
    let binary = Project::find()?.guest_binary(Architecture::X86_64)?;
    #[allow(clippy::cast_precision_loss, reason = "a file of less than 2^52 bytes")]
    let bytes = fs::metadata(&binary).context("cannot look at the guest binary")?.len() as f64;
    let figure =
        |name: &str, value: f64, unit, limit| Figure::of(name, &[value], unit).against(limit, Some(1.0));
    Ok(vec![
        figure("echora-firstboot, processor time without its children", cpu, "ms", CPU_MS),
        figure("echora-firstboot, largest resident set", rss, "MB", RSS_MB),
        figure("echora-firstboot, x86_64 binary", bytes / 1e6, "MB", BINARY_MB),
        generate()?,
    ])
}

/// A first boot, watched from outside by what the kernel counts: milliseconds on a processor, and megabytes.
/// Watching takes a processor of its own, so that this boot counts for no time.
async fn watched(field: &Field) -> Result<(f64, f64)> {
    let rented = at_rest(field, &OURS).await?;
    rented.cell.inside("systemctl start --no-block echora-firstboot").await?;
    let end = Instant::now() + BOOT;
    let (mut cpu, mut rss) = (0.0_f64, 0.0_f64);
    let process = loop {
        if let [process, ..] = rented.cell.processes("echora-firstboot")[..] {
            break process;
        }
        ensure!(Instant::now() < end, "first boot does not start");
    };
    while let Some((spent, peak)) = look(process) {
        (cpu, rss) = (cpu.max(spent), rss.max(peak));
        ensure!(Instant::now() < end, "first boot does not end");
        tokio::time::sleep(PAUSE).await;
    }
    rented.cell.inside("systemctl is-active --quiet echora-firstboot").await.context("first boot failed")?;
    Ok((cpu, rss))
}

/// Milliseconds that all threads have run, and the largest resident set in MB; nothing once the process has ended.
fn look(process: u32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?.flatten();
    // First number: nanoseconds on a processor. https://docs.kernel.org/scheduler/sched-stats.html
    let spent = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some((spent.sum::<f64>() / 1e6, kib * 1024.0 / 1e6))
}

/// `generate` of all providers as a user calls it, start of the program included.
fn generate() -> Result<Figure> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        let output = run(&["generate", "--check"]);
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        ensure!(output.status.success(), "generate --check failed: run `make generate`");
    }
    Ok(Figure::of("generate of all providers", &times, "ms").against(GENERATE_MS, Some(1.0)))
}
