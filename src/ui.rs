//! Progress: numbered steps for people on stderr, one JSON event a line on stdout for machines.

use std::fs::File;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A person at a terminal: a bar for the step under way.
    Terminal,
    /// A pipe or a log: plain lines.
    Plain,
    /// A machine: events on stdout.
    Json,
}

impl Mode {
    /// JSON when asked for, else what stderr is.
    #[must_use]
    pub fn detect(json: bool) -> Self {
        match (json, stderr().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// The step's name.
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// What it reused or made, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Where progress goes; clones share their state.
#[derive(Debug, Clone)]
pub struct Ui {
    mode: Mode,
    steps: usize,
    /// Whose progress it is, beside that of others; empty for one alone.
    name: String,
    bars: MultiProgress,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    times: Vec<StepTime>,
    expected: Vec<StepTime>,
    log: Option<File>,
}

impl Ui {
    /// Progress of a command with so many steps.
    #[must_use]
    pub fn new(mode: Mode, steps: usize) -> Self {
        Self { mode, steps, name: String::new(), bars: MultiProgress::new(), state: Arc::default() }
    }

    /// Progress of its own, shown under `name` beside this one.
    #[must_use]
    pub fn beside(&self, name: &str, steps: usize) -> Self {
        Self { name: name.to_owned(), steps, state: Arc::default(), ..self.clone() }
    }

    /// From now on every line goes to `log` too.
    pub fn log_to(&self, log: File) {
        self.lock().log = Some(log);
    }

    /// How long each step took the last time; the bars are drawn from it.
    pub fn expect(&self, times: Vec<StepTime>) {
        self.lock().expected = times;
    }

    /// Begins the next step.
    #[must_use]
    pub fn step(&self, name: &str, what: &str) -> Step {
        let number = self.lock().times.len() + 1;
        let label = format!("[{number}/{}] {what}", self.steps);
        let label = if self.name.is_empty() { label } else { format!("{} {label}", self.name) };
        self.log(&label);
        self.event(
            &json!({"event": "step-started", "step": number, "of": self.steps, "name": name, "what": what}),
        );
        let expected = self.lock().expected.iter().find(|t| t.name == name).map(|t| t.seconds);
        let bar = (self.mode == Mode::Terminal).then(|| bar(&self.bars, &label, expected));
        if self.mode == Mode::Plain {
            self.line(&label);
        }
        Step { ui: self.clone(), name: name.to_owned(), label, number, started: Instant::now(), bar }
    }

    /// A line for people that belongs to no step.
    pub fn say(&self, text: &str) {
        self.log(text);
        self.event(&json!({"event": "note", "text": text}));
        if self.mode != Mode::Json {
            self.line(text);
        }
    }

    /// What the command was run for: text on stdout for people, an event for machines.
    pub fn result(&self, text: &str, event: &Value) {
        self.event(event);
        if self.mode != Mode::Json {
            // A reader that went away does not undo what was done.
            self.bars.suspend(|| {
                let _ = writeln!(stdout(), "{text}");
            });
        }
    }

    /// A line for the log only.
    pub fn log(&self, text: &str) {
        if let Some(log) = &mut self.lock().log {
            // The log is a help, not the work: a full disk shows where it matters.
            let _ = writeln!(log, "{text}");
        }
    }

    /// How long the finished steps took.
    #[must_use]
    pub fn times(&self) -> Vec<StepTime> {
        self.lock().times.clone()
    }

    fn event(&self, event: &Value) {
        if self.mode == Mode::Json {
            let mut event = event.clone();
            if !self.name.is_empty() {
                event["provider"] = self.name.clone().into();
            }
            let _ = writeln!(stdout(), "{event}");
        }
    }

    /// A line above the bars.
    fn line(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(stderr(), "{text}");
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step under way.
#[derive(Debug)]
pub struct Step {
    ui: Ui,
    name: String,
    label: String,
    number: usize,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// What the step is at now.
    pub fn detail(&self, text: &str) {
        self.ui.log(&format!("      {text}"));
        self.ui.event(&json!({"event": "detail", "step": self.number, "text": text}));
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {text}", self.label)),
            None if self.ui.mode == Mode::Plain && self.ui.name.is_empty() => {
                self.ui.line(&format!("      {text}"));
            }
            None if self.ui.mode == Mode::Plain => self.ui.line(&format!("{}: {text}", self.label)),
            None => {}
        }
    }

    /// The step is done; `note` says what it made or reused.
    pub fn done(self, note: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let text = format!("{} {seconds:.1} s{}{note}", self.label, if note.is_empty() { "" } else { ": " });
        self.ui.log(&text);
        self.ui.event(&json!({"event": "step-finished", "step": self.number, "name": self.name, "seconds": tenths(seconds), "note": note}));
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.ui.mode != Mode::Json {
            self.ui.line(&text);
        }
        self.ui.lock().times.push(StepTime {
            name: self.name.clone(),
            seconds: tenths(seconds),
            note: note.to_owned(),
        });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Seconds to one decimal: more would claim a precision that wall-clock times do not have.
fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

/// A bar that fills with time where the step's usual length is known, else a spinner.
fn bar(bars: &MultiProgress, label: &str, expected: Option<f64>) -> ProgressBar {
    let bar = match expected {
        Some(seconds) => {
            let bar = bars.add(ProgressBar::new(
                Duration::from_secs_f64(seconds.max(0.1)).as_millis().try_into().unwrap_or(u64::MAX),
            ));
            bar.set_style(style("{msg:60!} {wide_bar} {elapsed_precise} of about {prefix}"));
            bar.set_prefix(format!("{seconds:.0} s"));
            fill(&bar);
            bar
        }
        None => {
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {msg} {elapsed_precise}"));
            bar
        }
    };
    bar.set_message(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Moves a bar with the clock until it is finished; it waits at 99 % for a step that takes longer than usual.
fn fill(bar: &ProgressBar) {
    let bar = bar.clone();
    std::thread::spawn(move || {
        let full = bar.length().unwrap_or(1);
        while !bar.is_finished() {
            let elapsed = u64::try_from(bar.elapsed().as_millis()).unwrap_or(u64::MAX);
            bar.set_position(elapsed.min(full * 99 / 100));
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
