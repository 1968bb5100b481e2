//! How a watched study is shown: bars and lines in a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use wardround_proto::v1;

use super::events::{self, Progress};
use crate::cli::output::{moment, out};

/// Where events are shown.
pub enum Screen {
    /// A bar per site, lines above them.
    Bars {
        /// All bars.
        all: MultiProgress,
        /// The bar of each site, with the stage it shows.
        sites: HashMap<String, (String, ProgressBar)>,
    },
    /// Lines on stdout; of a stage's progress only every tenth part.
    Lines {
        /// The last tenth shown, per site and stage.
        shown: HashMap<(String, String), u64>,
    },
}

impl Screen {
    /// Bars when both outputs are a terminal.
    pub fn new() -> Self {
        use io::IsTerminal as _;
        if io::stdout().is_terminal() && io::stderr().is_terminal() {
            Screen::Bars { all: MultiProgress::new(), sites: HashMap::new() }
        } else {
            Screen::Lines { shown: HashMap::new() }
        }
    }

    /// Shows an event.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn show(&mut self, event: &v1::Event) -> io::Result<()> {
        let progress = Progress::of(event);
        match (self, progress) {
            (Screen::Bars { all, sites }, Some(progress)) => {
                show_bar(all, sites, progress);
                Ok(())
            }
            (Screen::Bars { all, .. }, None) => all.println(events::line(event)),
            (Screen::Lines { shown }, Some(progress)) => {
                let key = (progress.site.clone(), progress.stage.clone());
                let tenth = (progress.done * 10).checked_div(progress.total).unwrap_or(0);
                match shown.insert(key, tenth) {
                    Some(before) if before == tenth => Ok(()),
                    _ => print(event),
                }
            }
            (Screen::Lines { .. }, None) => print(event),
        }
    }

    /// Takes the bars away.
    pub fn close(self) {
        if let Screen::Bars { sites, .. } = self {
            for (_, bar) in sites.into_values() {
                bar.finish_and_clear();
            }
        }
    }
}

fn print(event: &v1::Event) -> io::Result<()> {
    out(format!("{} {}\n", moment(event.time_ms), events::line(event)).as_bytes())
}

fn show_bar(
    all: &MultiProgress,
    sites: &mut HashMap<String, (String, ProgressBar)>,
    progress: Progress,
) {
    let Progress { site, stage, done, total } = progress;
    let new = || {
        let style = ProgressStyle::with_template("{prefix:20} {bar:30} {pos}/{len} {msg} {eta}");
        let bar = all.add(ProgressBar::new(total).with_prefix(site.clone()));
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    };
    let (shown, bar) = sites.entry(site.clone()).or_insert_with(|| (String::new(), new()));
    if *shown != stage {
        bar.reset();
        bar.set_message(stage.clone());
        *shown = stage;
    }
    bar.set_length(total);
    bar.set_position(done);
}
