//! Command line of echora-images.

use std::process::ExitCode;

use clap::Parser;
use echora_images::cli::Cli;
use echora_images::error::{Exit, Fault, explain};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Disks of machines do not belong into memory, where Debian 13 keeps /tmp.
    if std::env::var_os("TMPDIR").is_none() {
        // It can only fail when it was set before.
        let _ = tempfile::env::override_temp_dir(std::path::Path::new("/var/tmp"));
    }
    // Dropping the command's future stops and removes all that it started.
    let outcome = tokio::select! {
        outcome = cli.run() => outcome,
        fault = interrupted() => Err(fault),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (text, exit) = explain(&error);
            eprintln!("{text}");
            ExitCode::from(exit as u8)
        }
    }
}

/// Ends with the error to report when somebody asks the program to end.
async fn interrupted() -> anyhow::Error {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut int), Ok(mut term), Ok(mut hup)] = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {},
        _ = term.recv() => {},
        _ = hup.recv() => {},
    }
    Fault::new(Exit::Interrupted, "interrupted", "everything that was started has been stopped and removed")
        .into()
}
