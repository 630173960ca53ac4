//! The checker finds what is false, and lets be what is true.

use std::collections::BTreeSet;

use tempfile::TempDir;

use super::claims::{Known, faults};

const TRUE: &str = "\
# Levee

[Contract](docs/a.md#the-parts), [here](#what-it-is), [elsewhere](https://example.com/nowhere), ![logo](docs/a.md)

## What it is

Run `levee dev --listen 127.0.0.1:0`, or `make dev`. `levee` alone shows help, and every `LEVEE_…` is a setting.
A misspelt one such as `LEVEE_LGO` is told.

| variable | meaning |
| --- | --- |
| `LEVEE_LISTEN` | where |
| `LEVEE_LOG` | how much |

```console
$ LEVEE_LOG=debug levee dev | grep -- --nonsense
$ ./target/debug/levee --version
levee: a line that is no command
$ curl -i http://127.0.0.1:8080/proxy/flaky/hello
HTTP/1.1 200 OK
levee-answer: upstream
Levee-Attempts: 1

x-body: this is no header
```
";

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn judged(page: &str) -> Vec<String> {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    std::fs::create_dir(folder.path().join("docs")).unwrap();
    std::fs::write(folder.path().join("docs/a.md"), "# The parts\n").unwrap();
    let known = Known {
        commands: vec![
            ("dev".to_owned(), set(&["--listen"])),
            (String::new(), set(&["--version", "--help"])),
        ],
        variables: set(&["LEVEE_LISTEN", "LEVEE_LOG"]),
        headers: set(&["levee-answer", "levee-attempts"]),
    };
    faults(page, folder.path(), &known, true)
}

#[test]
fn what_is_true_is_let_be() {
    assert_eq!(judged(TRUE), Vec::<String>::new());
}

#[test]
fn each_false_claim_is_found_where_it_stands() {
    for (was, is, expected) in [
        ("levee dev --listen", "levee dve --listen", "7: there is no command `levee dve`"),
        ("--listen 127", "--lsten 127", "7: `levee dev` has no flag --lsten"),
        ("debug/levee --version", "debug/levee --verison", "17: `levee ` has no flag --verison"),
        ("| `LEVEE_LOG` | how much |", "| `LEVEE_LGO` | how much |", "13: LEVEE_LGO is no setting"),
        ("| `LEVEE_LOG` | how much |", "|", "0: LEVEE_LOG is missing from the table of settings"),
        ("LEVEE_LOG=debug", "LEVEE_LOGS=debug", "16: LEVEE_LOGS is no setting"),
        ("docs/a.md#the-parts", "docs/b.md", "3: docs/b.md leads nowhere"),
        ("docs/a.md#the-parts", "docs/a.md#parts", "3: docs/a.md#parts leads nowhere"),
        ("#what-it-is", "#what-is-it", "3: #what-is-it leads nowhere"),
        ("levee-answer: ", "levee-anwser: ", "21: no answer has the header levee-anwser"),
        ("Levee-Attempts: ", "Levee-Tries: ", "22: no answer has the header Levee-Tries"),
    ] {
        assert_eq!(TRUE.matches(was).count(), 1, "{was}");
        let found = judged(&TRUE.replace(was, is));
        assert!(found.iter().any(|fault| fault == expected), "{expected}: {found:?}");
    }
}
