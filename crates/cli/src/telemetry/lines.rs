//! Log lines for programs: a JSON object each, with the run.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Writes each event as a line: `at`, `level`, `message`, `run`, and the event's fields.
pub(super) struct JsonLines<W>(Mutex<W>);

impl<W: Write> JsonLines<W> {
    pub(super) fn into(out: W) -> Self {
        Self(Mutex::new(out))
    }
}

impl<S: Subscriber, W: Write + 'static> Layer<S> for JsonLines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(Map::new());
        line.add("at", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        line.add("level", event.metadata().level().as_str());
        if let Some(run) = super::RUN.get() {
            line.add("run", run.as_str());
        }
        event.record(&mut line);
        let text = format!("{}\n", Value::Object(line.0));
        // A log that cannot be written must not end a run.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}

struct Line(Map<String, Value>);

impl Line {
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_an_object_with_the_fields_of_its_event() {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry().with(JsonLines::into(kept.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(step = "readers.readers", chunk = 7_i64, rows = 5_000_u64, "a \"chunk\"\nis done: {}", 1);
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "a \"chunk\"\nis done: 1");
        assert_eq!(
            (&line["level"], &line["step"], &line["chunk"], &line["rows"]),
            (&Value::from("INFO"), &Value::from("readers.readers"), &Value::from(7), &Value::from(5_000),)
        );
    }
}
