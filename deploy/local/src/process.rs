//! Child processes that never outlive us.
//!
//! Each child leads a process group of its own, so that Ctrl-C in a terminal reaches only us and we
//! end the children in order, and so that a child's own children end with it. Dropping a [`Process`]
//! kills its group. Against our own sudden death a watchdog (a shell that waits for the end of its
//! input) kills every group that is still on its list.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// Starts children and knows which are alive. Clones share the list.
#[derive(Debug, Clone)]
pub struct Nursery(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    watchdog: Child,
    list: ChildStdin,
    alive: Vec<u32>,
}

/// What the watchdog runs: `+ID` and `-ID` keep the list; at the end of input it kills what is on it.
const WATCHDOG: &str = r#"
alive=" "
while read -r line; do
    id=${line#?}
    case $line in
        +*) alive="$alive$id " ;;
        -*) alive=${alive%% $id *}" "${alive#* $id } ;;
        .*) alive=" " ;;
    esac
done
for id in $alive; do kill -9 "-$id"; done
"#;

impl Nursery {
    /// An empty one.
    ///
    /// # Errors
    /// No shell can be started.
    pub fn new() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        own_group(&mut command);
        let mut watchdog = command.spawn().context("sh can't be started")?;
        let list = watchdog.stdin.take().context("the watchdog has no input")?;
        Ok(Self(Arc::new(Mutex::new(Inner { watchdog, list, alive: Vec::new() }))))
    }

    /// Starts a long-running child; its stderr goes to the end of a log file, its stdout is kept for
    /// [`Process::line`].
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(&self, name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("can't open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = self.spawn(name, &mut command)?;
        let stdout = child.stdout.take().context("the child has no output")?;
        let alive = Alive { nursery: self.clone(), child };
        let (name, log) = (name.to_owned(), log.to_owned());
        Ok(Process { name, log, stdout: BufReader::new(stdout), alive })
    }

    /// Runs a command to its end and returns its stdout.
    ///
    /// # Errors
    /// It can't be started; or it fails, with what it said.
    pub fn run(&self, name: &str, command: Command) -> Result<String> {
        let ended = self.output(name, command)?;
        if ended.code != Some(0) {
            let said = if ended.stderr.trim().is_empty() { ended.stdout } else { ended.stderr };
            bail!("{name} failed: {}", said.trim());
        }
        Ok(ended.stdout)
    }

    /// Runs a command to its end, however that is.
    ///
    /// # Errors
    /// It can't be started.
    pub fn output(&self, name: &str, mut command: Command) -> Result<Ended> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(name, &mut command)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let alive = Alive { nursery: self.clone(), child };
        let reader = std::thread::spawn(move || text(stderr));
        let stdout = text(stdout)?;
        let stderr = reader.join().unwrap_or_else(|_| Ok(String::new()))?;
        let code = alive.end()?.code();
        Ok(Ended { code, stdout, stderr })
    }

    /// Runs a command to its end that talks to the terminal itself.
    ///
    /// # Errors
    /// It can't be started.
    pub fn show(&self, name: &str, mut command: Command) -> Result<ExitStatus> {
        command.stdin(Stdio::null());
        let child = self.spawn(name, &mut command)?;
        Alive { nursery: self.clone(), child }.end()
    }

    /// Kills every child that is alive, now.
    pub fn kill_all(&self) {
        let alive = std::mem::take(&mut self.inner().alive);
        for id in alive {
            signal("KILL", id);
        }
    }

    /// Lets every child that is alive live on after us; returns their ids.
    pub fn release(&self) -> Vec<u32> {
        let mut inner = self.inner();
        // A watchdog that is gone has nothing to forget.
        let _ = inner.list.write_all(b".\n");
        std::mem::take(&mut inner.alive)
    }

    fn spawn(&self, name: &str, command: &mut Command) -> Result<Child> {
        own_group(command);
        // Held over the start, so that `kill_all` can't miss a child.
        let mut inner = self.inner();
        let child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        inner.alive.push(child.id());
        inner
            .list
            .write_all(format!("+{}\n", child.id()).as_bytes())
            .context("the watchdog ended")?;
        Ok(child)
    }

    /// Takes a child off the list; whether it was on it.
    fn forget(&self, id: u32) -> bool {
        let mut inner = self.inner();
        let known = inner.alive.iter().position(|alive| *alive == id);
        if let Some(at) = known {
            inner.alive.swap_remove(at);
            // A watchdog that is gone has nothing to forget.
            let _ = inner.list.write_all(format!("-{id}\n").as_bytes());
        }
        known.is_some()
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // The list is valid after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for id in &self.alive {
            signal("KILL", *id);
        }
        let _ = self.list.write_all(b".\n");
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// A long-running child. Dropping it kills it, unless [`Nursery::release`] let it go.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    stdout: BufReader<std::process::ChildStdout>,
    alive: Alive,
}

impl Process {
    /// The next line of its stdout; the end of its log where it ended instead.
    ///
    /// # Errors
    /// It ended.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("{} ended:\n{}", self.name, self.log_end());
        }
        Ok(line)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.alive.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.alive.child.try_wait(), Ok(None))
    }

    /// Asks it to end and waits a little, then kills it.
    pub fn stop(mut self) {
        signal("TERM", self.id());
        let until = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(self) {
        drop(self);
    }

    /// All it has written to its log, earlier runs included.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// A child that is killed and waited for when dropped.
#[derive(Debug)]
struct Alive {
    nursery: Nursery,
    child: Child,
}

impl Alive {
    /// Waits for a child that ends by itself.
    fn end(mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        self.nursery.forget(self.child.id());
        Ok(status)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if self.nursery.forget(self.child.id()) {
            signal("KILL", self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Signals a child's group, through the shell's own `kill`. (Not every shell takes `--` there.)
fn signal(name: &str, id: u32) {
    let command = format!("kill -{name} -{id}");
    // A group that is gone needs no signal.
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
}

fn text(from: Option<impl Read>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        from.read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn is_alive(id: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        // A zombie ran to its end.
        !stat.is_empty() && !stat.contains(") Z ")
    }

    fn wait_for_end(id: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while is_alive(id) {
            assert!(Instant::now() < until, "{id} is still alive");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_dropped_child_takes_its_own_children_along() {
        let folder = tempfile::tempdir().unwrap();
        let nursery = Nursery::new().unwrap();
        let log = folder.path().join("log");
        // The log is written first: the line on stdout tells that it is there.
        let script = shell("sleep 600 & echo said >&2; echo $!; wait");
        let mut child = nursery.start("child", script, &log).unwrap();
        let grandchild = child.line().unwrap();
        assert!(child.is_running() && is_alive(&grandchild));
        let id = child.id().to_string();
        drop(child);
        wait_for_end(&id);
        wait_for_end(&grandchild);
        assert_eq!(fs::read_to_string(log).unwrap(), "said\n");
    }

    #[test]
    fn the_watchdog_kills_what_is_on_its_list_when_we_die() {
        let group = || {
            let mut command = shell("sleep 600");
            own_group(&mut command);
            command.spawn().unwrap()
        };
        let mut children = [group(), group(), group()];
        let mut watchdog = shell(WATCHDOG).stdin(Stdio::piped()).spawn().unwrap();
        let mut list = watchdog.stdin.take().unwrap();
        for child in &children {
            writeln!(list, "+{}", child.id()).unwrap();
        }
        writeln!(list, "-{}", children[1].id()).unwrap();
        // Our own death closes the list.
        drop(list);
        watchdog.wait().unwrap();
        for (at, child) in children.iter_mut().enumerate() {
            match at {
                1 => assert!(child.try_wait().unwrap().is_none()),
                _ => wait_for_end(&child.id().to_string()),
            }
        }
        for child in &mut children {
            signal("KILL", child.id());
            child.wait().unwrap();
        }
    }

    #[test]
    fn commands_say_why_they_failed() {
        let nursery = Nursery::new().unwrap();
        assert_eq!(nursery.run("it", shell("echo fine")).unwrap(), "fine\n");
        let error = nursery.run("it", shell("echo bad >&2; exit 3")).unwrap_err().to_string();
        assert_eq!(error, "it failed: bad");
        let ended = nursery.output("it", shell("echo out; exit 4")).unwrap();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), "out\n"));
        let missing = nursery.run("it", Command::new("no-such-program")).unwrap_err();
        assert_eq!(missing.to_string(), "it can't be started");
    }

    #[test]
    fn a_child_that_ends_early_shows_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let nursery = Nursery::new().unwrap();
        let log = folder.path().join("log");
        let mut child = nursery.start("child", shell("echo why >&2"), &log).unwrap();
        assert_eq!(child.line().unwrap_err().to_string(), "child ended:\nwhy");
    }

    #[test]
    fn released_children_live_on() {
        let folder = tempfile::tempdir().unwrap();
        let nursery = Nursery::new().unwrap();
        let log = folder.path().join("log");
        let child = nursery.start("child", shell("sleep 600"), &log).unwrap();
        let id = child.id();
        assert_eq!(nursery.release(), [id]);
        drop(child);
        drop(nursery);
        assert!(is_alive(&id.to_string()));
        signal("KILL", id);
    }
}
