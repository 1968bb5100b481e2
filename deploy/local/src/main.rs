//! `cargo demo`: see [`wardround_local::demo`].

use std::process::ExitCode;

use clap::Parser;
use wardround_local::demo::{Options, arguments};
use wardround_local::process::Nursery;

fn main() -> ExitCode {
    let options = Options::parse_from(arguments(std::env::args()));
    match run(options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<ExitCode> {
    let nursery = Nursery::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let of_demo = nursery.clone();
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody listens when we were asked to stop.
        let _ = done.send(options.run(&of_demo));
    });
    runtime.block_on(async {
        tokio::select! {
            ended = ended => ended.map_err(|_| anyhow::anyhow!("a defect in the demo"))?.map(|()| ExitCode::SUCCESS),
            stopped = asked_to_stop() => {
                nursery.kill_all();
                stopped?;
                eprintln!("\nstopped");
                Ok(ExitCode::from(130))
            }
        }
    })
}

/// Waits for Ctrl-C, or a polite kill.
#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = term.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
