//! How far a long command is, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use wardround_proto::v1::Stage;

use crate::answer::Watch;
use crate::egress::Step;
use crate::features::Moved;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A watch that shows what it hears, with images a second and the time left.
pub(super) fn shown() -> Watch {
    let screen = Screen::default();
    Watch::new(move |step| screen.step(step, ""))
}

/// Shows how far a command is.
#[derive(Default)]
pub(super) struct Screen(Mutex<Shown>);

#[derive(Default)]
enum Shown {
    #[default]
    Nothing,
    Bar(&'static str, ProgressBar),
    Lines {
        title: &'static str,
        started: Instant,
        before: u64,
        last: Instant,
    },
}

impl Screen {
    /// Shows a step, with something to say about it.
    pub(super) fn step(&self, step: Step, note: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).step(step, note);
    }

    /// Shows that features are computed: of `total` images `before` had theirs when it began.
    pub(super) fn extracting(&self, at: Moved, before: u64, total: u64) {
        let step = Step { stage: Stage::Extracting, done: before + at.done, total };
        self.step(step, &format!(", {} kept before, {} unusable", before + at.cached, at.failed));
    }

    /// Shows how many things of a kind that only this site knows are done.
    pub(super) fn count(&self, title: &'static str, done: u64, total: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).show(title, done, total, "");
    }
}

impl Shown {
    fn step(&mut self, Step { stage, done, total }: Step, note: &str) {
        // Weights come in one step: nothing moves.
        if stage != Stage::Weights {
            self.show(title(stage), done, total, note);
        }
    }

    fn show(&mut self, title: &'static str, done: u64, total: u64, note: &str) {
        if total == 0 {
            return;
        }
        match self {
            Shown::Bar(known, bar) if *known == title => {
                bar.set_position(done);
                bar.set_message(note.to_owned());
            }
            Shown::Lines { title: known, started, before, last } if *known == title => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    let rate = (done - *before) as f64 / started.elapsed().as_secs_f64();
                    let left = (total - done) as f64 / rate.max(1e-9);
                    eprintln!("{title}: {done} of {total}{note}, {rate:.1}/s, {left:.0} s left");
                }
            }
            // Done before it began: everything was known.
            _ if done == total => {}
            _ => *self = Self::begin(title, done, total),
        }
        if let Shown::Bar(_, bar) = self
            && done == total
        {
            bar.finish_and_clear();
        }
    }

    fn begin(title: &'static str, done: u64, total: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Shown::Lines { title, started: now, before: done, last: now };
        }
        let style = ProgressStyle::with_template(
            "{prefix} {wide_bar} {pos}/{len}{msg}  {per_sec:.1}  {eta} left",
        );
        let bar = ProgressBar::new(total).with_prefix(title);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_position(done);
        // What was there before isn't speed.
        bar.reset_eta();
        Shown::Bar(title, bar)
    }
}

fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Checking => "looking at images",
        Stage::Extracting => "computing features",
        _ => "working",
    }
}
