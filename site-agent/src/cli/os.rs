//! What differs between systems.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

/// glibc's variable for the size from which a block is handed back to the system when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";

/// Makes a folder that only its owner can look into; one that is there stays as it is.
///
/// # Errors
/// What the system says.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Waits until the process is asked to stop: by Ctrl-C or by whoever supervises it.
///
/// # Errors
/// The system takes no handler.
#[cfg(unix)]
pub(super) async fn asked_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Waits until the process is asked to stop.
///
/// # Errors
/// The system takes no handler.
#[cfg(not(unix))]
pub(super) async fn asked_to_stop() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Starts this program anew in its own place (the process id stays), with an allocator that hands
/// blocks of a megabyte back to the system. glibc raises that size by itself to 32 MB as soon as one
/// block of a study's rows was freed, and an idle agent would then keep up to that much for months.
/// Returns when nothing is to be done, or when it can't be: the agent is only larger then.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn hand_memory_back() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(THRESHOLD).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).env(THRESHOLD, "1048576").exec();
    tracing::debug!(%error, "the allocator stays as it is");
}

/// Other allocators hand memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn hand_memory_back() {}
