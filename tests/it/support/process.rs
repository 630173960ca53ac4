//! A child process in a group of its own, with its log kept for the day a test fails.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, kill_process_group};

use super::watchdog::Watchdog;

/// Lines of log shown when a test fails.
const SHOWN: usize = 60;

/// A running child. Dropping it kills its whole group.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `command` with no standard input; what it prints on either output is its log.
    pub(crate) fn start(name: &'static str, mut command: Command) -> Self {
        raise_open_files_limit();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Watchdog::of_this_process().kill(child.id());
        let log = Arc::default();
        keep_lines(child.stdout.take().expect("it is piped"), &log);
        keep_lines(child.stderr.take().expect("it is piped"), &log);
        Self { name, child, log }
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, bytes, as the kernel counts it.
    pub(crate) fn resident_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kilobytes =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kilobytes.and_then(|number| number.trim().parse::<u64>().ok()).expect("VmRSS is in kB") * 1024
    }

    /// All it has printed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line in which `find` sees what it looks for. Panics when the child ends first.
    pub(crate) async fn logged<T>(&mut self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("it is our child");
            if let Some(found) = self.log.lock().unwrap().iter().find_map(|line| find(line)) {
                return found;
            }
            assert!(ended.is_none(), "{} ended with {ended:?} before it was ready", self.name);
            assert!(started.elapsed() < limit, "{} was not ready within {limit:?}", self.name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends a signal to the child itself, not to its group.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it has not been waited for");
    }

    /// Waits for its end. Panics after `limit`.
    pub(crate) async fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(started.elapsed() < limit, "{} did not end within {limit:?}", self.name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failing test shows what its servers said")]
    fn drop(&mut self) {
        // An error means that the group is gone already.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
        Watchdog::of_this_process().spare(self.child.id());
        if std::thread::panicking() {
            let log = self.log();
            let shown = &log[log.len().saturating_sub(SHOWN)..];
            eprintln!("--- the last of {}'s log ---\n{}\n---", self.name, shown.join("\n"));
        }
    }
}

/// A thread, not a task: it must not depend on the runtime of the test that started the child.
fn keep_lines(output: impl Read + Send + 'static, log: &Arc<Mutex<Vec<String>>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            log.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// A thousand callers, their connections and the upstream's ends of them do not fit the usual 1,024 open files.
/// Children inherit the limit.
pub(crate) fn raise_open_files_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(65_536, |maximum| maximum.min(65_536));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        rustix::process::setrlimit(Resource::Nofile, raised).expect("up to the hard limit is allowed");
    }
}
