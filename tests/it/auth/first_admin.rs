//! The first admin: made once, on an empty database.

use tempfile::TempDir;

use super::{PASSWORD, login};
use crate::support::levee::{Setup, TestApp, levee};

fn with(email: &str, password: &str) -> Setup {
    TestApp::with("")
        .env("LEVEE_BOOTSTRAP_ADMIN_EMAIL", email)
        .env("LEVEE_BOOTSTRAP_ADMIN_PASSWORD", password)
}

#[tokio::test]
async fn the_settings_of_the_first_day_change_nothing_later() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let database = format!("sqlite://{}", folder.path().join("levee.db").display());
    let first = with("ada@example.com", PASSWORD).env("LEVEE_DATABASE_URL", &database).start().await;
    assert_eq!(login(&first, "ada@example.com", PASSWORD).await.status, 200);
    drop(first);
    // A password that would be refused today harms nobody who has an admin.
    let second = with("eve@example.com", "short").env("LEVEE_DATABASE_URL", &database).start().await;
    assert_eq!(login(&second, "ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(login(&second, "eve@example.com", "short").await.status, 401);
}

#[test]
fn a_first_admin_without_a_good_password_is_refused() {
    for (password, told) in [
        ("short", "LEVEE_BOOTSTRAP_ADMIN_PASSWORD: has fewer than 15 characters"),
        ("", "LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE: must be given"),
    ] {
        let folder = TempDir::with_prefix("levee-test-").unwrap();
        let any = "127.0.0.1:0";
        let output = levee()
            .args(["dev", "--listen", any, "--ops-listen", any, "--flaky-listen", any])
            .env("LEVEE_BOOTSTRAP_ADMIN_EMAIL", "ada@example.com")
            .env("LEVEE_BOOTSTRAP_ADMIN_PASSWORD", password)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{error}");
        assert!(error.contains(told), "{error}");
    }
}
