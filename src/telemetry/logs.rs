//! Log lines: text for people, JSON for machines, always on standard error.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// An object for machines.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense.
    #[error("LEVEE_LOG: {directive:?}: {reason}")]
    Filter {
        /// The part that is wrong.
        directive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This process logs already.
    #[error("logging was set up twice")]
    Twice,
}

/// Starts logging. `filter` is a level or a list such as `info,levee::gateway=debug`; without a format it is text
/// on a terminal and JSON elsewhere.
pub fn start(filter: &str, format: Option<LogFormat>) -> Result<(), LogError> {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = subscriber(parse_filter(filter)?, format, colour, io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)
}

/// Checks a filter without using it.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(|_| ())
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    let refuse =
        |directive: &str, reason: String| LogError::Filter { directive: directive.to_owned(), reason };
    for directive in filter.split(',').map(str::trim).filter(|directive| !directive.contains(['=', '['])) {
        // The library takes a lone word for a target and turns everything on for it, a misspelt level included.
        if directive.is_empty() || directive.parse::<LevelFilter>().is_err() {
            let reason = "neither a level (off, error, warn, info, debug, trace) nor target=level".to_owned();
            return Err(refuse(directive, reason));
        }
    }
    EnvFilter::builder().parse(filter).map_err(|error| refuse(filter, error.to_string()))
}

fn subscriber<W>(
    filter: EnvFilter,
    format: LogFormat,
    colour: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        // A closed standard error must not take the process with it.
        .log_internal_errors(false)
        .with_writer(writer);
    match format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = subscriber(parse_filter(filter).unwrap(), format, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(upstream = "rates", attempts = 2, "answered");
            tracing::debug!("too fine");
        });
        let bytes = sink.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let line: serde_json::Value = serde_json::from_str(&logged("info", LogFormat::Json)).unwrap();
        assert_eq!(line["message"], "answered");
        assert_eq!(line["upstream"], "rates");
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_text_line_has_the_message_and_its_fields() {
        let line = logged("info", LogFormat::Text);
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains("answered upstream=\"rates\" attempts=2"), "{line}");
    }

    #[test]
    fn the_filter_can_be_finer_for_a_target() {
        assert_eq!(logged("warn", LogFormat::Text), "");
        assert!(logged("warn,levee::telemetry=debug", LogFormat::Text).contains("too fine"));
    }

    #[test]
    fn a_bad_filter_is_refused_with_its_part_named() {
        for (filter, part) in
            [("inof", "inof"), ("info,debgu", "debgu"), ("", ""), ("levee=loud", "levee=loud")]
        {
            let error = check_filter(filter).unwrap_err().to_string();
            assert!(error.starts_with(&format!("LEVEE_LOG: {part:?}")), "{error}");
        }
        check_filter("info,levee::gateway=debug,hyper=off").unwrap();
    }
}
