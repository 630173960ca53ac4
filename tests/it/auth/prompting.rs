//! Passwords that a person types at a terminal: a real one, by Python's `pty`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::commands::Desk;
use super::{PASSWORD, login};
use crate::support::levee::TestApp;

/// Runs its arguments as the session leader of a new terminal. Each line of standard input is a text to wait for, a tab,
/// and what to type then. Prints all that the terminal showed, and ends as the command does.
const TERMINAL: &str = r#"
import os, pty, select, sys, termios, time

answers = [line.rstrip("\n").split("\t") for line in sys.stdin]
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
seen = 0
while True:
    if not select.select([terminal], [], [], 30)[0]:
        sys.exit(f"nothing happens after {shown!r}")
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if answers and answers[0][0].encode() in shown[seen:]:
        seen = len(shown)
        # The prompt is there a moment before the echo goes; no person is so fast.
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.001)
        os.write(terminal, answers.pop(0)[1].encode() + b"\n")
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// Exit code, and what the terminal showed.
fn typed(desk: &Desk, arguments: &[&str], answers: &[(&str, &str)]) -> (Option<i32>, String) {
    let levee = desk.command(arguments);
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL])
        .arg(levee.get_program())
        .args(levee.get_args())
        .current_dir(levee.get_current_dir().expect("the desk has a folder"));
    for (name, value) in levee.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> = answers.iter().map(|(prompt, typed)| format!("{prompt}\t{typed}\n")).collect();
    child.stdin.take().expect("it is piped").write_all(lines.concat().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), shown.concat())
}

#[tokio::test]
async fn a_password_is_asked_for_twice_and_never_shown() {
    let desk = Desk::new();
    let create = ["user", "create", "--email", "ada@example.com", "--name", "Ada", "--role", "admin"];
    let (code, shown) = typed(&desk, &create, &[("Password: ", PASSWORD), ("Once more: ", PASSWORD)]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("ada@example.com") && !shown.contains(PASSWORD), "{shown}");
    let next = "another rain in another Spain";
    let set = ["user", "set-password", "--email", "ada@example.com"];
    let (code, shown) = typed(&desk, &set, &[("Password: ", next), ("Once more: ", next)]);
    assert_eq!((code, shown.contains(next)), (Some(0), false), "{shown}");

    let app = TestApp::with("").env("LEVEE_DATABASE_URL", desk.url()).start().await;
    assert_eq!(login(&app, "ada@example.com", PASSWORD).await.status, 401);
    assert_eq!(login(&app, "ada@example.com", next).await.status, 200);
}

#[test]
fn two_passwords_that_differ_and_one_that_is_no_good_change_nothing() {
    let desk = Desk::new();
    let create = ["user", "create", "--email", "ada@example.com", "--name", "Ada", "--role", "admin"];
    for (first, again, code, told) in [
        (PASSWORD, "mistyped, so sorry", 1, "the two are not the same"),
        ("short", "short", 64, "fewer than 15"),
    ] {
        let (ended, shown) = typed(&desk, &create, &[("Password: ", first), ("Once more: ", again)]);
        assert_eq!(ended, Some(code), "{shown}");
        assert!(shown.contains(told) && !shown.contains(first), "{shown}");
    }
    let list = desk.command(&["user", "list"]).output().unwrap();
    assert_eq!((list.status.code(), list.stdout.len()), (Some(0), 0));
}

/// Without a terminal there is nobody to ask: a script that forgot `--password-stdin` must not wait for ever.
#[test]
fn without_a_terminal_nothing_is_asked() {
    let desk = Desk::new();
    let create = ["user", "create", "--email", "ada@example.com", "--name", "Ada", "--role", "admin"];
    let levee = desk.command(&create);
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(levee.get_program()).args(levee.get_args()).stdin(Stdio::null());
    command.env("LEVEE_DATABASE_URL", desk.url());
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("no password was read"), "{error}");
}
