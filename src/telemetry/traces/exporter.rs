//! The sender of spans: OTLP over gRPC or HTTP, with TLS by the system's roots.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::settings::{Protocol, TraceSettings};

/// Builds it; connections are made when there is something to send.
pub(super) fn build(settings: &TraceSettings) -> Result<SpanExporter, String> {
    let mut exporter = match settings.protocol {
        Protocol::Grpc => over_grpc(settings)?,
        Protocol::Http => over_http(settings)?,
    };
    exporter.set_resource(&resource(settings));
    Ok(exporter)
}

fn resource(settings: &TraceSettings) -> Resource {
    let own = [
        KeyValue::new("service.version", crate::VERSION),
        KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
    ];
    // What the environment says of itself is stronger.
    let said = Resource::builder().build();
    let own = own.into_iter().filter(|pair| said.get(&pair.key).is_none());
    let builder = Resource::builder().with_attributes(own);
    let builder = match settings.service {
        Some(name) => builder.with_service_name(name),
        None => builder,
    };
    builder.build()
}

fn over_grpc(settings: &TraceSettings) -> Result<SpanExporter, String> {
    let builder =
        SpanExporter::builder().with_tonic().with_endpoint(&settings.endpoint).with_timeout(settings.timeout);
    let builder = if is_tls(settings) {
        builder.with_tls_config(ClientTlsConfig::new().with_native_roots())
    } else {
        builder
    };
    builder.build().map_err(|error| error.to_string())
}

fn over_http(settings: &TraceSettings) -> Result<SpanExporter, String> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls(settings)?)
        .https_or_http()
        .enable_http1()
        .build();
    SpanExporter::builder()
        .with_http()
        .with_http_client(HyperClient::new(connector, settings.timeout, None))
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout)
        .build()
        .map_err(|error| error.to_string())
}

fn is_tls(settings: &TraceSettings) -> bool {
    settings.endpoint.starts_with("https://")
}

fn tls(settings: &TraceSettings) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if is_tls(settings) {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("no trusted root certificates are installed on this system".to_owned());
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
