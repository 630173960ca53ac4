//! Verdicts on bytes alone.

use super::{Fault, Guard, Verdict};

fn passed(guard: &mut Guard, bytes: &[u8]) -> usize {
    let verdict = guard.judge(bytes);
    assert_eq!(verdict.fault, None);
    verdict.passed
}

#[test]
fn a_head_passes_only_when_it_is_whole() {
    let mut guard = Guard::new(1024, 10);
    let request = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    let head = request.len() - 5;
    for end in 1..head {
        assert_eq!(passed(&mut guard, &request[..end]), 0);
        assert!(guard.in_head() && !guard.in_body());
    }
    assert_eq!(passed(&mut guard, &request[..head + 2]), head + 2);
    assert!(guard.in_body());
    assert_eq!(passed(&mut guard, b"lloGET"), 3);
    assert!(guard.in_head());
    assert_eq!(guard.heads(), 1);
}

#[test]
fn an_empty_line_between_requests_begins_no_head() {
    let mut guard = Guard::new(1024, 10);
    assert_eq!(passed(&mut guard, b"\r\n"), 0);
    assert!(!guard.in_head());
}

#[test]
fn what_stands_before_a_refused_head_passes() {
    let mut guard = Guard::new(1024, 10);
    let good = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let verdict = guard.judge(&[&good[..], b"GET / HTTP/1.1\n"].concat());
    assert!(matches!(verdict, Verdict { passed, fault: Some(Fault::Head(_)) } if passed == good.len()));
}

#[test]
fn what_stands_before_a_malformed_chunk_passes() {
    let mut guard = Guard::new(1024, 10);
    let good = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n";
    let verdict = guard.judge(&[&good[..], b"!"].concat());
    assert!(matches!(verdict, Verdict { passed, fault: Some(Fault::Body(_)) } if passed == good.len()));
}
