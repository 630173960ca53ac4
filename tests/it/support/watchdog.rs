//! Ends what a dead test process leaves behind: process groups and folders.
//!
//! Destructors do not run for statics, nor after SIGKILL. So one small shell reads from a pipe whose only writing
//! end is in this process. When the process dies, for whatever reason, the kernel closes the pipe; the shell then
//! kills the groups and removes the folders it was told of.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const SCRIPT: &str = r#"
groups=" " folders=""
while read -r verb what; do
  case $verb in
    kill) groups="$groups$what " ;;
    spare) case $groups in *" $what "*) groups="${groups%%" $what "*} ${groups#*" $what "}" ;; esac ;;
    remove) folders="$folders$what
" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
printf %s "$folders" | while read -r folder; do rm -rf -- "$folder"; done
"#;

/// The shell and the pipe it listens on.
pub(crate) struct Watchdog {
    shell: Mutex<Child>,
    orders: Mutex<Option<ChildStdin>>,
}

impl Watchdog {
    /// The one that watches this process.
    pub(crate) fn of_this_process() -> &'static Self {
        static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();
        WATCHDOG.get_or_init(Self::start)
    }

    /// Starts a shell in a group of its own, so that Ctrl-C on a test run does not take it along.
    pub(crate) fn start() -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("every machine has sh");
        let orders = shell.stdin.take();
        Self { shell: Mutex::new(shell), orders: Mutex::new(orders) }
    }

    /// Kills this process group at the end.
    pub(crate) fn kill(&self, group: u32) {
        self.order(&format!("kill {group}"));
    }

    /// This process group has ended; its number may be used again.
    pub(crate) fn spare(&self, group: u32) {
        self.order(&format!("spare {group}"));
    }

    /// Removes this folder at the end.
    pub(crate) fn remove(&self, folder: &Path) {
        self.order(&format!("remove {}", folder.display()));
    }

    /// What the death of the process does: closes the pipe. Returns when the shell has cleaned up.
    pub(crate) fn end(&self) {
        drop(self.orders.lock().unwrap().take());
        self.shell.lock().unwrap().wait().unwrap();
    }

    fn order(&self, line: &str) {
        if let Some(orders) = self.orders.lock().unwrap().as_mut() {
            writeln!(orders, "{line}").expect("the watchdog lives as long as its pipe");
        }
    }
}
