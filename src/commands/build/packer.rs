//! Runs Packer and turns what it prints into progress.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use echora_rehearsal::process::Job;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout, Command};

use crate::error::{Exit, Fault};
use crate::interrupt;
use crate::ui::{Step, Ui};

/// How long Packer may take to remove what it made in an account.
const ACCOUNT_GRACE: Duration = Duration::from_secs(300);
/// An output of Packer, line by line.
type Lines<Output> = tokio::io::Lines<BufReader<Output>>;
/// How many lines of Packer's output an error carries.
const TAIL: usize = 20;

/// One call of `packer build`.
#[derive(Debug)]
pub(super) struct PackerRun<'a> {
    /// Command that Packer is run by, such as `ip netns exec NAME`; empty for none.
    pub prefix: &'a [String],
    /// The program.
    pub packer: &'a Path,
    /// Folder with the HCL files.
    pub template: &'a Path,
    /// Variables as JSON, in a file that only its owner can read.
    pub variables: &'a Path,
    /// Folder for Packer's own state in place of the user's.
    pub home: Option<&'a Path>,
    /// Variables that it gets besides this program's.
    pub environment: &'a [(String, String)],
    /// The longest that the whole build may take.
    pub deadline: Duration,
    /// What has become of what the build made when it fails, for people.
    pub left: &'a str,
}

impl PackerRun<'_> {
    /// Runs Packer to its end; each provisioner is shown as a detail of `step`.
    pub(super) async fn run(&self, ui: &Ui, step: &Step) -> Result<Vec<(String, f64)>> {
        self.run_until(ui, step, std::future::pending()).await
    }

    /// The same until `end`; from then on Packer removes what it made in the account and ends.
    pub(super) async fn run_until(
        &self,
        ui: &Ui,
        step: &Step,
        end: impl Future<Output = ()>,
    ) -> Result<Vec<(String, f64)>> {
        let mut command = self.command();
        let mut job = Job::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()), "packer build")?;
        if self.home.is_none() {
            // It has machines of the account to remove before it may end.
            job = job.gently(ACCOUNT_GRACE);
        }
        let out = job.child().stdout.take().context("packer has no output")?;
        let err = job.child().stderr.take().context("packer has no error output")?;
        let mut output = Output::new(ui, step);
        let mut read = Box::pin(output.read(BufReader::new(out).lines(), BufReader::new(err).lines()));
        let why = tokio::select! {
            read = &mut read => Ok(read?),
            () = tokio::time::sleep(self.deadline) => {
                let seconds = self.deadline.as_secs();
                let what = format!("packer build did not end within {seconds} s; the log says how far it came");
                Err(Fault::new(Exit::Failed, what, self.left))
            }
            () = end => Err(interrupt::fault(self.left)),
        };
        if why.is_err() {
            step.detail("interrupted; Packer removes what it made");
            job.interrupt();
            // Its pipes stay open: what it prints is in the log, and what it leaves is looked for afterwards.
            let _ = tokio::time::timeout(ACCOUNT_GRACE, &mut read).await;
        }
        drop(read);
        why?;
        let status = job.status(Duration::from_secs(30)).await?;
        if !status.success() {
            return Err(output.fault(&format!("packer build failed ({status})"), self.left).into());
        }
        Ok(output.finish())
    }

    fn command(&self) -> Command {
        let mut words = self.prefix.iter().map(PathBuf::from).chain([self.packer.to_owned()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["build", "-color=false", "-on-error=cleanup"]);
        command.arg("-var-file").arg(self.variables).arg(self.template);
        command.env("CHECKPOINT_DISABLE", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(home) = self.home {
            command.env("PACKER_CONFIG_DIR", home).env("PACKER_CACHE_DIR", home);
        }
        command
    }
}

/// What Packer printed so far.
struct Output<'a> {
    ui: &'a Ui,
    step: &'a Step,
    lines: Vec<String>,
    parts: Vec<(String, f64)>,
    current: Option<(String, Instant)>,
}

impl<'a> Output<'a> {
    fn new(ui: &'a Ui, step: &'a Step) -> Self {
        Self { ui, step, lines: Vec::new(), parts: Vec::new(), current: None }
    }

    /// Takes what Packer prints until it closes both of its outputs.
    async fn read(&mut self, mut out: Lines<ChildStdout>, mut err: Lines<ChildStderr>) -> Result<()> {
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let line = tokio::select! {
                line = out.next_line(), if out_open => line.map(|l| l.or_else(|| { out_open = false; None })),
                line = err.next_line(), if err_open => line.map(|l| l.or_else(|| { err_open = false; None })),
            };
            if let Some(line) = line.context("cannot read what packer prints")? {
                self.line(&line);
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        self.ui.log(line);
        if let Some(part) = part_of(line) {
            self.close();
            self.step.detail(&part);
            self.current = Some((part, Instant::now()));
        }
        if matters(line) {
            self.lines.push(line.to_owned());
        }
    }

    fn close(&mut self) {
        if let Some((part, began)) = self.current.take() {
            self.parts.push((part, began.elapsed().as_secs_f64()));
        }
    }

    fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// The failure; what `verify` found in the machine is told from work that failed.
    fn fault(&self, what: &str, left: &str) -> Fault {
        let found =
            self.lines.iter().any(|line| line.contains(": verify: ") && !line.ends_with("checks passed"));
        let exit = if found { Exit::Unverified } else { Exit::Failed };
        let what = format!("{what}\n{}", self.tail());
        Fault::new(exit, what, format!("the last lines above and the log say what failed; {left}"))
    }

    fn finish(mut self) -> Vec<(String, f64)> {
        self.close();
        self.parts
    }
}

/// The provisioner that a line of Packer's output begins, by the name of its script or folder.
fn part_of(line: &str) -> Option<String> {
    let (_, message) = line.strip_prefix("==> ")?.split_once(": ")?;
    let base = |path: &str| Path::new(path).file_stem().map(|s| s.to_string_lossy().into_owned());
    if let Some(script) = message.strip_prefix("Provisioning with shell script: ") {
        return base(script);
    }
    if let Some((source, _)) = message.strip_prefix("Uploading ").and_then(|m| m.split_once(" => ")) {
        return base(source).map(|name| format!("upload {name}"));
    }
    message
        .strip_prefix("Downloading ")
        .and_then(|m| base(m.split(" => ").next()?))
        .map(|name| format!("download {name}"))
}

/// Whether a line may explain a failure: package downloads and progress bars never do.
fn matters(line: &str) -> bool {
    const NOISE: [&str; 8] = [
        "Get:",
        "Selecting ",
        "Preparing to",
        "Unpacking ",
        "Setting up ",
        "Processing ",
        "Reading ",
        "(Reading ",
    ];
    let text = line.trim_start_matches("==> ").split_once(": ").map_or(line, |(_, text)| text).trim();
    !text.is_empty() && !NOISE.iter().any(|noise| text.starts_with(noise))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ui::Mode;

    /// It has machines of an account to remove, and says so while it does.
    #[tokio::test]
    async fn a_builder_that_takes_too_long_cleans_up_before_it_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (builder, cleaned) = (folder.path().join("builder"), folder.path().join("cleaned"));
        // A shell cannot take a signal that whoever started the tests has had ignored.
        let script = format!(
            "import signal, sys, time\ndef clean_up(*_):\n    print('cancelling', flush=True)\n    \
             time.sleep(0.3)\n    open('{}', 'w')\n    sys.exit(1)\nsignal.signal(signal.SIGINT, clean_up)\ntime.sleep(600)\n",
            cleaned.display()
        );
        fs::write(&builder, script).unwrap();
        let python = ["python3".to_owned()];
        let ui = Ui::new(Mode::Plain, 1);
        let step = ui.step("packer", "building");
        let run = PackerRun {
            prefix: &python,
            packer: &builder,
            template: folder.path(),
            variables: &builder,
            home: None,
            environment: &[],
            deadline: Duration::from_secs(1),
            left: "look there",
        };
        let error = run.run(&ui, &step).await.unwrap_err();
        assert!(error.to_string().contains("did not end within 1 s"), "{error:#}");
        assert!(cleaned.exists(), "it was ended before it had cleaned up");
    }

    #[test]
    fn provisioners_are_named_by_their_script() {
        let part = |line| part_of(line).unwrap_or_default();
        assert_eq!(part("==> null.echora: Provisioning with shell script: a/scripts/01-base.sh"), "01-base");
        assert_eq!(part("==> null.echora: Uploading /x/echora-payload => /tmp/"), "upload echora-payload");
        assert_eq!(part("==> null.echora: Downloading /tmp/p/packages.txt => /y"), "download packages");
        assert_eq!(part("    null.echora: Provisioning with shell script: no"), "");
    }

    #[test]
    fn package_noise_does_not_explain_a_failure() {
        assert!(!matters("    null.echora: Get:1 http://mirror/debian trixie InRelease [1 kB]"));
        assert!(!matters("==> null.echora: "));
        assert!(matters("==> null.echora: verify: host key left: /etc/ssh/ssh_host_rsa_key"));
    }
}
