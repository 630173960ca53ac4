//! What settings mean, and what is refused.

use super::source::misspelt_variables;
use super::*;

fn given(pairs: &[(Setting, &str)]) -> Given {
    let mut given = Given::default();
    for (setting, text) in pairs {
        given.add(*setting, *text, setting.variable());
    }
    given
}

#[test]
fn serve_listens_everywhere_and_dev_on_loopback() {
    let serve = Settings::resolve(Mode::Serve, &Given::default()).unwrap();
    assert_eq!(serve.listen, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(serve.api_listen, Some("0.0.0.0:8081".parse().unwrap()));
    assert_eq!(serve.drain_delay, Duration::from_secs(5));
    assert!(serve.allowed_cidrs.is_empty());
    let dev = Settings::resolve(Mode::Dev, &Given::default()).unwrap();
    assert_eq!((dev.listen, dev.api_listen), ("127.0.0.1:8080".parse().unwrap(), None));
    assert_eq!(dev.ops_listen, "127.0.0.1:9464".parse().unwrap());
    assert!(dev.drain_delay.is_zero() && dev.allowed_cidrs.len() == 2);
}

#[test]
fn every_fault_is_named_at_once_with_its_place() {
    let given = given(&[
        (Setting::Listen, "8080"),
        (Setting::DrainDelay, "soon"),
        (Setting::AllowedCidrs, "10.0.0.0/8,elsewhere"),
        (Setting::LogFormat, "xml"),
        (Setting::Log, "levee=loud"),
        (Setting::DatabaseUrl, "mysql://root:hunter2@db/levee"),
        (Setting::RedisUrl, "memcached://:hunter2@cache"),
        (Setting::RedisPrefix, "a{b}"),
        (Setting::CorsOrigins, "https://a.example/path"),
        (Setting::Kubernetes, "true"),
    ]);
    let faults = Settings::resolve(Mode::Serve, &given).unwrap_err();
    assert_eq!(faults.len(), 10, "{faults:#?}");
    assert_eq!(faults[0], r#"LEVEE_LISTEN: "8080" is not an address and port such as 127.0.0.1:8080"#);
    assert!(!faults.concat().contains("hunter2"), "{faults:#?}");
}

#[test]
fn a_later_source_is_stronger() {
    let mut given = Given::default();
    given.add(Setting::DrainDelay, "1s", "levee.yaml:1: drainDelay");
    given.add(Setting::DrainDelay, "2s", "--drain-delay");
    let settings = Settings::resolve(Mode::Serve, &given).unwrap();
    assert_eq!(settings.drain_delay, Duration::from_secs(2));
}

#[test]
fn a_misspelt_variable_is_told_with_the_nearest() {
    let names = ["LEVEE_LISTN", "LEVEE_LISTEN", "LEVEE_PORT_8080_TCP", "LEVEE_SERVICE_HOST", "PATH"];
    let told = misspelt_variables(names.iter().map(|name| (*name).to_owned()));
    assert_eq!(told, ["LEVEE_LISTN is not a setting; did you mean LEVEE_LISTEN?"]);
}
