//! When keys are asked for, and what happens while none come.

use std::collections::VecDeque;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::identity::issuer::tests::signer::{ISSUER, Signer, published};
use crate::identity::ring::KeyRing;

/// Answers what it is told to, the last answer again and again, and notes when it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Scripted>);

#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Instant>>,
}

#[derive(Clone)]
enum Answer {
    Keys(Value),
    Failure,
    Silence,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        *script.0.answers.lock() = answers.into_iter().collect();
        script
    }

    fn asked(&self) -> usize {
        self.0.asked.lock().len()
    }

    /// Seconds between the asking, rounded.
    fn pauses(&self) -> Vec<u64> {
        let asked = self.0.asked.lock();
        asked.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64().round() as u64).collect()
    }
}

impl KeySource for Script {
    async fn fetch(&self) -> Result<KeySet, FetchError> {
        self.0.asked.lock().push(Instant::now());
        let answer = {
            let mut answers = self.0.answers.lock();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        match answer {
            Some(Answer::Keys(keys)) => Ok(KeySet::read(ISSUER, &keys, SystemTime::now())?),
            Some(Answer::Failure) | None => {
                Err(FetchError::Unreachable("/keys: connection refused".to_owned()))
            }
            Some(Answer::Silence) => std::future::pending().await,
        }
    }
}

struct Running {
    issuer: Arc<Issuer>,
    keys: Arc<IssuerKeys>,
    script: Script,
    stop: CancellationToken,
}

impl Running {
    fn new(answers: impl IntoIterator<Item = Answer>, kept: Option<SealedFile>) -> Self {
        let issuer = Arc::new(Issuer::kubernetes());
        let metrics = Arc::new(Metrics::new("0", "0"));
        let keys = Arc::new(IssuerKeys::new(Arc::clone(&issuer), kept, metrics));
        let (script, stop) = (Script::of(answers), CancellationToken::new());
        tokio::spawn(Arc::clone(&keys).keep_fresh(script.clone(), stop.clone()));
        Self { issuer, keys, script, stop }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn keys(signers: &[&Signer]) -> Answer {
    Answer::Keys(published(signers))
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_at_once_and_again_every_five_minutes_or_so() {
    let signer = Signer::p256("k1");
    let running = Running::new([keys(&[&signer])], None);
    assert_eq!(running.keys.report().keys, 0);
    tokio::time::sleep(Duration::from_secs(1700)).await;
    let pauses = running.script.pauses();
    assert!(
        (5..=6).contains(&pauses.len()) && pauses.iter().all(|pause| (270..=330).contains(pause)),
        "{pauses:?}"
    );
    let report = running.keys.report();
    assert_eq!((report.issuer.as_deref(), report.keys, report.failing), (Some(ISSUER), 1, None));
    assert!(running.issuer.trusted().is_some());
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_away_the_last_keys_count_and_it_is_asked_ever_less_often() {
    let signer = Signer::p256("k1");
    let running = Running::new([keys(&[&signer]), Answer::Failure], None);
    tokio::time::sleep(Duration::from_secs(900)).await;
    let report = running.keys.report();
    assert_eq!((report.keys, report.failing.as_deref()), (1, Some("/keys: connection refused")));
    let pauses = &running.script.pauses()[1..];
    assert!(pauses.starts_with(&[1, 2, 4]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= 66) && pauses.last() > Some(&50), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_comes_back_is_noticed() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let empty = Answer::Keys(json!({ "keys": [] }));
    let running = Running::new([keys(&[&old]), Answer::Silence, empty, keys(&[&new])], None);
    let mut told: Vec<Option<String>> = Vec::new();
    for _ in 0..3600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let failing = running.keys.report().failing;
        if told.last() != Some(&failing) {
            told.push(failing);
        }
    }
    let [None, Some(silent), Some(useless), None] = &told[..] else { panic!("{told:?}") };
    assert!(silent.contains("10 s") && useless.contains("none of its keys"), "{told:?}");
    assert!(running.issuer.trusted().unwrap().written().to_string().contains("new"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_but_not_more_often_than_every_ten_seconds() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let running = Running::new([keys(&[&old]), keys(&[&old, &new])], None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let authenticator =
        crate::identity::directory::Authenticator::new(tokens()).trusting(Arc::clone(&running.issuer));
    let token = new.token(&json!({}));
    let known = || authenticator.authenticate(&token, SystemTime::now()).is_ok();
    assert!(!known());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(known() && running.script.asked() == 2, "{}", running.script.asked());
    let stranger = Signer::p256("stranger").token(&json!({}));
    for _ in 0..205 {
        assert!(authenticator.authenticate(&stranger, SystemTime::now()).is_err());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pauses = running.script.pauses();
    assert_eq!(pauses[1..], [10, 10], "twenty seconds of a stranger's tokens");
}

#[tokio::test(start_paused = true)]
async fn keys_are_kept_for_a_start_while_the_issuer_is_away_and_nobody_else_can_write_them() {
    let folder = TempDir::new().unwrap();
    let ring = KeyRing::parse(&KeyRing::generate("k1")).unwrap();
    let file = || Some(SealedFile::new(folder.path().to_owned(), KUBERNETES, ring.clone()));
    let signer = Signer::p256("k1");
    let metrics = || Arc::new(Metrics::new("0", "0"));
    let first = IssuerKeys::new(Arc::new(Issuer::kubernetes()), file(), metrics());
    assert_eq!(first.refresh(&Script::of([keys(&[&signer])])).await, Outcome::Came);
    let again = IssuerKeys::new(Arc::new(Issuer::kubernetes()), file(), metrics());
    assert_eq!((again.report().keys, again.report().issuer.as_deref()), (1, Some(ISSUER)));
    assert_eq!(again.refresh(&Script::default()).await, Outcome::Away);
    assert_eq!(again.report().keys, 1);
    let path = file().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    let plain = format!(
        "levee issuer keys 1\n{}",
        json!({ "issuer": ISSUER, "keys": published(&[&signer]), "fetched": 0 })
    );
    for forged in [plain.as_bytes(), &whole[..whole.len() - 1], b""] {
        std::fs::write(&path, forged).unwrap();
        let keys = IssuerKeys::new(Arc::new(Issuer::kubernetes()), file(), metrics());
        assert_eq!(keys.report().keys, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_without_keys_waits_for_them_only_a_few_seconds() {
    let issuer = Arc::new(Issuer::kubernetes());
    let keys_of = IssuerKeys::new(Arc::clone(&issuer), None, Arc::new(Metrics::new("0", "0")));
    let began = Instant::now();
    let useless = Script::of([Answer::Keys(json!({ "keys": [] }))]);
    keys_of.first(&useless).await;
    assert_eq!(
        (began.elapsed().as_secs(), useless.asked()),
        (0, 1),
        "who answers so will not answer otherwise"
    );
    keys_of.first(&Script::of([Answer::Silence])).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    keys_of.first(&Script::of([Answer::Failure, keys(&[&Signer::p256("k1")])])).await;
    assert!(issuer.trusted().is_some() && began.elapsed().as_secs() < 7, "{:?}", began.elapsed());
    let script = Script::of([Answer::Silence]);
    keys_of.first(&script).await;
    assert_eq!(script.asked(), 0, "there are keys already");
}

fn tokens() -> crate::identity::token::Tokens {
    crate::identity::token::Tokens::new(&KeyRing::parse(&KeyRing::generate("test")).unwrap())
}
