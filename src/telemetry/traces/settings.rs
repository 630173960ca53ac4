//! What the standard `OTEL_…` variables say about traces. Nothing is exported unless one of them names an endpoint;
//! then all of them are judged, with every fault at once.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::sampler::{self, Sampler};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf over HTTP.
    Http,
}

/// Where spans go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    /// `levee`, unless a variable names the service.
    pub(super) service: Option<&'static str>,
}

impl TraceSettings {
    /// Reads the variables; `None` where spans are not to be exported. Headers, resource attributes and the service's name
    /// are only judged here: the exporter's library reads them itself.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Vec<String>> {
        let mut reader = Reader { variable, faults: Vec::new() };
        let settings = reader.settings();
        if reader.faults.is_empty() { Ok(settings) } else { Err(reader.faults) }
    }
}

struct Reader<V> {
    variable: V,
    faults: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    fn settings(&mut self) -> Option<TraceSettings> {
        let (endpoint_name, endpoint) = self.of_traces("ENDPOINT")?;
        if self.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return None;
        }
        match self.get("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(_) => self.fault("OTEL_TRACES_EXPORTER", "is neither otlp nor none"),
        }
        let protocol = self.protocol();
        if !is_endpoint(&endpoint) {
            self.fault(
                &endpoint_name,
                "is not an http:// or https:// URL; names and passwords go into OTEL_EXPORTER_OTLP_HEADERS",
            );
        }
        let endpoint = match protocol {
            Protocol::Http if endpoint_name == ENDPOINT => {
                format!("{}/v1/traces", endpoint.trim_end_matches('/'))
            }
            Protocol::Http | Protocol::Grpc => endpoint,
        };
        self.check_compression();
        self.check_headers();
        let timeout = self.timeout();
        let (sampler, service) = (self.sampler(), self.service());
        Some(TraceSettings { endpoint, protocol, timeout, sampler, service })
    }

    fn protocol(&mut self) -> Protocol {
        match self.of_traces("PROTOCOL") {
            None => Protocol::Http,
            Some((_, text)) if text == "http/protobuf" => Protocol::Http,
            Some((_, text)) if text == "grpc" => Protocol::Grpc,
            Some((name, _)) => {
                self.fault(&name, "is neither grpc nor http/protobuf");
                Protocol::Http
            }
        }
    }

    /// Milliseconds, as the standard has it.
    fn timeout(&mut self) -> Duration {
        let Some((name, text)) = self.of_traces("TIMEOUT") else { return Duration::from_secs(10) };
        if let Ok(millis @ 1..=60_000) = text.parse() {
            return Duration::from_millis(millis);
        }
        self.fault(&name, "is not a whole number of milliseconds from 1 to 60000");
        Duration::ZERO
    }

    fn check_compression(&mut self) {
        if let Some((name, text)) = self.of_traces("COMPRESSION")
            && text != "none"
        {
            self.fault(&name, "is not none: spans are sent uncompressed");
        }
    }

    /// The values are secrets: no message repeats them.
    fn check_headers(&mut self) {
        let Some((name, text)) = self.of_traces("HEADERS") else { return };
        let good = |pair: &str| {
            pair.split_once('=').is_some_and(|(key, value)| {
                key.trim().parse::<HeaderName>().is_ok() && HeaderValue::from_str(value.trim()).is_ok()
            })
        };
        if !text.split_terminator(',').all(good) {
            self.fault(&name, "is not a list such as name=value,other=value");
        }
    }

    fn sampler(&mut self) -> Sampler {
        let ratio = match self.get("OTEL_TRACES_SAMPLER_ARG").map(|text| text.parse::<f64>()) {
            None => 1.0,
            Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
            Some(_) => {
                self.fault("OTEL_TRACES_SAMPLER_ARG", "is not a number from 0 to 1");
                1.0
            }
        };
        let Some(name) = self.get("OTEL_TRACES_SAMPLER") else { return Sampler::DEFAULT };
        Sampler::named(&name, ratio).unwrap_or_else(|| {
            self.fault("OTEL_TRACES_SAMPLER", &format!("is none of {}", sampler::NAMES.join(", ")));
            Sampler::DEFAULT
        })
    }

    fn service(&mut self) -> Option<&'static str> {
        let attributes = self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut keys =
            attributes.split_terminator(',').map(|pair| pair.split_once('=').map(|(key, _)| key.trim()));
        if keys.clone().any(|key| key.is_none()) {
            self.fault("OTEL_RESOURCE_ATTRIBUTES", "is not a list such as name=value,other=value");
        }
        let named = self.get("OTEL_SERVICE_NAME").is_some() || keys.any(|key| key == Some("service.name"));
        (!named).then_some("levee")
    }

    /// The variable for traces, else the one for all signals; with its name.
    fn of_traces(&self, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.get(&name).map(|text| (name, text)))
    }

    /// An empty variable counts as not set.
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn fault(&mut self, name: &str, what: &str) {
        self.faults.push(format!("{name}: {what}"));
    }
}

fn is_endpoint(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    host && matches!(uri.scheme_str(), Some("http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, Vec<String>> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        TraceSettings::read(|name| find(name).map(|(_, text)| (*text).to_owned()))
    }

    const TO: (&str, &str) = (ENDPOINT, "http://collector:4318/");

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_named_and_nobody_says_no() {
        for off in [
            &[("OTEL_TRACES_SAMPLER", "nonsense")][..],
            &[(ENDPOINT, " ")],
            &[TO, ("OTEL_SDK_DISABLED", "true")],
            &[TO, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert_eq!(read(off), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn the_path_is_added_to_the_endpoint_of_all_signals_only() {
        let endpoint = |variables: &[_]| read(variables).unwrap().unwrap().endpoint;
        assert_eq!(endpoint(&[TO]), "http://collector:4318/v1/traces");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://own/x");
        assert_eq!(endpoint(&[TO, own]), "https://own/x");
        assert_eq!(endpoint(&[TO, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), TO.1);
    }

    #[test]
    fn the_service_is_levee_unless_it_is_named() {
        let service = |more| read(&[TO, more]).unwrap().unwrap().service;
        assert_eq!(service(("X", "")), Some("levee"));
        assert_eq!(service(("OTEL_SERVICE_NAME", "gate")), None);
        assert_eq!(service(("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=gate")), None);
    }

    #[test]
    fn every_fault_is_told_at_once_and_no_secret_with_it() {
        let faults = read(&[
            (ENDPOINT, "https://me:hunter2@collector"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_SAMPLER", "some"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_RESOURCE_ATTRIBUTES", "nothing"),
        ]);
        let faults = faults.unwrap_err();
        assert_eq!(faults.len(), 9, "{faults:#?}");
        assert!(!faults.join("\n").contains("hunter2"), "{faults:#?}");
    }
}
