//! What differs between systems.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

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
