//! The log in Redis: a stream, and the epoch that tells one life of it from another. Both are read and written
//! together, so that nobody appends to a log that others take for the old one.

use fred::types::Value;

use super::super::log::{Heading, MOST_READ, News};
use super::super::position::{LogId, Position};
use super::super::purge::Purge;
use crate::redis::{Redis, Script};

/// About how many entries Redis keeps.
const MOST_KEPT: i64 = 100_000;

/// `ARGV`: an epoch for a log that has none; position; how many. Answers `{epoch, first, last, trimmed, entries}`.
///
/// Redis before 7 does not count what was ever added; then whatever is missing counts as trimmed.
pub(super) static READ: Script = Script::new(
    r"
local epoch = redis.call('GET', KEYS[2])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[2], epoch)
end
local first, last, trimmed = '0-0', '0-0', 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local length, added = 0, -1
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then last = info[at + 1] end
    if info[at] == 'length' then length = info[at + 1] end
    if info[at] == 'entries-added' then added = info[at + 1] end
  end
  if added ~= length then trimmed = 1 end
  local head = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
  if head[1] then first = head[1][1] else first = last end
end
return {epoch, first, last, trimmed, redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], '+', 'COUNT', ARGV[3])}
",
);

/// `ARGV`: an epoch for a log that has none; how many entries to keep; source; three words for each purge. Answers the
/// id of the last.
pub(super) static APPEND: Script = Script::new(
    r"
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], ARGV[1]) end
local id
for at = 4, #ARGV, 3 do
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*',
    'op', ARGV[at], 'arg', ARGV[at + 1], 'kind', ARGV[at + 2], 'by', ARGV[3])
end
return id
",
);

/// The stream and its epoch, in one slot.
pub(super) fn keys(redis: &Redis) -> Vec<String> {
    vec![redis.key("inv", ""), redis.key("inv", "epoch")]
}

pub(super) fn read_arguments(from: Position) -> Vec<Value> {
    vec![fresh_epoch(), from.id.to_string().into(), (MOST_READ as u32).into()]
}

pub(super) fn append_arguments(source: u64, purges: &[Purge]) -> Vec<Value> {
    let mut arguments = vec![fresh_epoch(), MOST_KEPT.into(), source.to_string().into()];
    arguments.extend(purges.iter().flat_map(Purge::words).map(Value::from));
    arguments
}

/// What [`READ`] answered; `None` for what it cannot have.
pub(super) fn news(answer: Value) -> Option<News> {
    let [epoch, first, last, trimmed, entries] = <[Value; 5]>::try_from(array(answer)?).ok()?;
    Some(News {
        epoch: epoch_of(&epoch.as_string()?),
        first: LogId::parse(&first.as_string()?)?,
        last: LogId::parse(&last.as_string()?)?,
        trimmed: trimmed.as_i64()? != 0,
        entries: array(entries)?.into_iter().map(heading).collect::<Option<_>>()?,
    })
}

/// An entry that cannot be read, from another version perhaps, makes everything stale.
fn heading(entry: Value) -> Option<Heading> {
    let [id, fields] = <[Value; 2]>::try_from(array(entry)?).ok()?;
    let fields: Vec<String> =
        array(fields)?.iter().map(|field| field.as_string().unwrap_or_default()).collect();
    let field =
        |name: &str| fields.chunks_exact(2).find(|pair| pair[0] == name).map_or("", |pair| pair[1].as_str());
    Some(Heading {
        id: LogId::parse(&id.as_string()?)?,
        purge: Purge::of_words(field("op"), field("arg"), field("kind")),
        source: field("by").parse().unwrap_or_default(),
    })
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

fn fresh_epoch() -> Value {
    format!("{:032x}", fastrand::u128(..)).into()
}

/// In one word that is never 0, which stands for no log at all.
fn epoch_of(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let entry = Value::Array(vec![
            "5-1".into(),
            Value::Array(
                ["op", "tag", "arg", "rates\na", "kind", "hard", "by", "7"].map(Value::from).to_vec(),
            ),
        ]);
        let answer =
            Value::Array(vec!["e".into(), "1-0".into(), "5-1".into(), 1.into(), Value::Array(vec![entry])]);
        let news = news(answer).unwrap();
        assert_eq!((news.first.to_string().as_str(), news.trimmed, news.entries[0].source), ("1-0", true, 7));
        assert_eq!(news.entries[0].purge, Purge::of_words("tag", "rates\na", "hard"));
    }

    #[test]
    fn nonsense_is_no_news() {
        for nonsense in [Value::Null, "x".into(), Value::Array(vec!["e".into(); 5]), Value::Array(Vec::new())]
        {
            assert!(news(nonsense).is_none());
        }
    }
}
