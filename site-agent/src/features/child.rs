//! An order performed by a child process: one JSON line goes in, JSON lines come out.
//!
//! The child's standard input stays open as long as its parent lives and wants the result; when it
//! closes, the child ends at once. So neither a killed agent nor a task that is called off leaves a
//! process behind.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::order::{ImagingError, Note, Order};
use crate::answer::Watch;

/// What `program` is called with.
const ARGUMENTS: [&str; 2] = ["features", "--worker"];

/// How often the parent asks whether the result is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// The parent's side: has an order performed, and hears its notes.
///
/// # Errors
/// The child's own error; [`ImagingError::Crashed`] when it ends without one.
pub(super) fn perform(
    program: &Path,
    order: &Order,
    watch: &Watch,
    hear: &dyn Fn(Note),
) -> Result<(), ImagingError> {
    let crashed = |error: io::Error| ImagingError::Crashed(error.to_string());
    let mut line = serde_json::to_vec(order)
        .map_err(|error| ImagingError::Failed(format!("a path isn't UTF-8: {error}")))?;
    line.push(b'\n');
    let mut command = Command::new(program);
    command.args(ARGUMENTS).stdin(Stdio::piped()).stdout(Stdio::piped());
    // cuDNN rounds f32 to 19 bits where it may; features must be the CPU's.
    command.env("NVIDIA_TF32_OVERRIDE", "0");
    // Ctrl-C at a terminal is for the agent, which ends the child in its own way.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(crashed)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(ImagingError::Crashed("it has no pipes".to_owned()));
    };
    let child = Mutex::new(child);
    let (done, ended) = channel::<()>();
    let heard = std::thread::scope(|scope| {
        let child = &child;
        scope.spawn(move || {
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if !watch.is_wanted() {
                    // It may have ended by itself meanwhile.
                    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
                    return;
                }
            }
        });
        let heard = input.write_all(&line).and_then(|()| listen(output, hear));
        drop((done, input));
        heard
    });
    let ended = child.lock().unwrap_or_else(PoisonError::into_inner).wait().map_err(crashed)?;
    match heard {
        _ if !watch.is_wanted() => Err(ImagingError::Stopped),
        Ok(Some(error)) => Err(error),
        Ok(None) if ended.success() => Ok(()),
        Ok(None) => Err(ImagingError::Crashed(ended.to_string())),
        Err(error) => Err(ImagingError::Crashed(format!("{ended}; {error}"))),
    }
}

fn listen(output: impl Read, hear: &dyn Fn(Note)) -> io::Result<Option<ImagingError>> {
    for line in BufReader::new(output).lines() {
        match serde_json::from_str(&line?).map_err(io::Error::from)? {
            Note::Failed(error) => return Ok(Some(error)),
            note => hear(note),
        }
    }
    Ok(None)
}

/// The child's side: performs the order on standard input, and writes notes to standard output.
///
/// # Errors
/// What the order's line or the pipe to the parent is at fault for.
pub fn serve() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    input.read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line)?;
    drop(line);
    std::thread::spawn(move || {
        // Returns when the parent is gone or has had enough.
        let _ = io::copy(&mut input, &mut io::sink());
        std::process::exit(1);
    });
    let output = Mutex::new(io::stdout());
    let say = |note: Note| {
        let mut line = serde_json::to_vec(&note).expect("a note holds numbers and texts");
        line.push(b'\n');
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.write_all(&line).and_then(|()| output.flush()).is_err() {
            std::process::exit(1);
        }
    };
    if let Err(error) = order.perform(&|| true, &say) {
        say(Note::Failed(error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::order::Moved;
    use super::*;

    #[test]
    fn notes_are_heard_until_the_first_failure() {
        let moved = |done| Moved { done, cached: 0, failed: 0 };
        let notes = [
            Note::Moved(moved(3)),
            Note::Found(1, Err("a\nb".to_owned())),
            Note::Failed(ImagingError::Failed("no disk".to_owned())),
            Note::Moved(moved(4)),
        ];
        let lines: Vec<String> =
            notes.iter().map(|note| serde_json::to_string(note).unwrap() + "\n").collect();
        let heard = Mutex::new(Vec::new());
        let hear = |note| heard.lock().unwrap().push(note);
        let ended = listen(lines.concat().as_bytes(), &hear).unwrap();
        assert_eq!(ended, Some(ImagingError::Failed("no disk".to_owned())));
        assert_eq!(*heard.lock().unwrap(), notes[..2]);
        assert_eq!(listen(&b""[..], &hear).unwrap(), None);
        assert!(listen(&b"{\"Moved\":"[..], &hear).is_err());
    }

    #[test]
    fn a_program_that_is_not_there_has_crashed() {
        let order = Order { paths: vec![], threads: 1, what: super::super::order::What::Look };
        let ended = perform(Path::new("no/such/program"), &order, &Watch::new(|_| {}), &|_| {});
        assert!(matches!(ended, Err(ImagingError::Crashed(_))), "{ended:?}");
    }
}
