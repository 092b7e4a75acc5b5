//! Command line of echora-images.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use echora_images::cli::Cli;
use echora_images::error::explain;
use echora_images::interrupt::Interrupt;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Disks of machines do not belong into memory, where Debian 13 keeps /tmp.
    if std::env::var_os("TMPDIR").is_none() {
        // It can only fail when it was set before.
        let _ = tempfile::env::override_temp_dir(std::path::Path::new("/var/tmp"));
    }
    let outcome = cli.run(&Interrupt::listen()).await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (text, exit) = explain(&error);
            // Whoever asked may have closed the terminal.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(exit as u8)
        }
    }
}
