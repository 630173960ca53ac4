//! `levee user`: users without a server.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{PASSWORD, login};
use crate::support::levee::{TestApp, levee};

/// A database of a test, and the commands on it.
pub(super) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(super) fn new() -> Self {
        let desk = Self { folder: TempDir::with_prefix("levee-test-").unwrap() };
        let migrated = desk.command(&["migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        desk
    }

    pub(super) fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("levee.db").display())
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = levee();
        command.args(arguments).env("LEVEE_DATABASE_URL", self.url()).current_dir(self.folder.path());
        command
    }

    /// Exit code and both outputs of `levee user …`, given this on standard input.
    fn user(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut command = self.command(&[&["user"], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // An error means that the command ended without reading.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), text.concat())
    }

    fn create(&self, email: &str, role: &str, password: &str) -> (Option<i32>, String) {
        let arguments =
            ["create", "--email", email, "--name", "A Person", "--role", role, "--password-stdin"];
        self.user(&arguments, password)
    }
}

#[tokio::test]
async fn a_user_of_the_command_line_can_sign_in() {
    let desk = Desk::new();
    let (code, created) = desk.create("ada@example.com", "admin", &format!("{PASSWORD}\n"));
    assert_eq!(code, Some(0), "{created}");
    assert!(desk.create("grace@example.com", "viewer", PASSWORD).0 == Some(0));
    let next = "another rain in another Spain";
    assert_eq!(
        desk.user(&["set-password", "--email", "ADA@example.com", "--password-stdin"], next).0,
        Some(0)
    );
    assert_eq!(desk.user(&["disable", "--email", "grace@example.com"], "").0, Some(0));
    let (_, list) = desk.user(&["list"], "");
    let lines: Vec<Vec<_>> = list.lines().map(|line| line.split('\t').skip(1).collect()).collect();
    assert_eq!(
        lines,
        [
            ["ada@example.com", "admin", "enabled", "A Person"],
            ["grace@example.com", "viewer", "disabled", "A Person"],
        ]
    );

    let app = TestApp::with("").env("LEVEE_DATABASE_URL", desk.url()).start().await;
    assert_eq!(login(&app, "ada@example.com", PASSWORD).await.status, 401, "it was set anew");
    assert_eq!(login(&app, "ada@example.com", next).await.status, 200);
    assert_eq!(login(&app, "grace@example.com", PASSWORD).await.status, 401, "it is disabled");
    let admin = app.anonymous().sign_in("ada@example.com", next).await;
    let audit = admin.get("/api/v1/audit?actor=system:cli").await.json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 4, "{audit}");
}

#[test]
fn bad_usage_is_told_apart_from_what_failed() {
    let desk = Desk::new();
    for (email, role, password, told) in [
        ("ada", "viewer", PASSWORD, "email: is not an e-mail address"),
        ("ada@example.com", "root", PASSWORD, "viewer, operator, admin"),
        ("ada@example.com", "viewer", "short", "password: has fewer than 15 characters"),
        ("ada@example.com", "viewer", "", "password: has fewer than 15 characters"),
    ] {
        let (code, text) = desk.create(email, role, password);
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains(told), "{text}");
    }
    assert_eq!(desk.create("ada@example.com", "admin", PASSWORD).0, Some(0));
    let (code, text) = desk.create("Ada@Example.com", "viewer", PASSWORD);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("Another user has this e-mail address"), "{text}");
    let (code, text) = desk.user(&["disable", "--email", "eve@example.com"], "");
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = desk.user(&["disable", "--email", "ada@example.com"], "");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no enabled admin"), "{text}");
}

#[test]
fn a_password_is_no_argument_and_a_database_must_be_named() {
    let desk = Desk::new();
    let arguments = ["create", "--email", "a@b.c", "--name", "A", "--role", "viewer", "--password", PASSWORD];
    assert_eq!(desk.user(&arguments, "").0, Some(64));
    let nowhere = levee().args(["user", "list"]).current_dir(desk.folder.path()).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("LEVEE_DATABASE_URL"));
}
